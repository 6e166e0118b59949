"""While a new version is brought in, old and new workers read what the others have stored."""

import dataclasses
from pathlib import Path

import orjson
import pytest
from msgspec.structs import replace

from calls.errors import FromNewerVersion, Unreadable
from calls.machine import commands, events, table
from calls.machine.commands import CreateChannel, Hangup
from calls.machine.events import CallEntered, ChannelLeft, HangupRequested
from calls.machine.record import call_record
from calls.machine.session import Phase, from_json, to_json
from tests.machine.world import CALL, A, b, ringing, setting_up, talking

SAMPLES = sorted((Path(__file__).parent / "stored").glob("format-*.json"))
STORED = [orjson.loads(path.read_bytes()) for path in SAMPLES]
SESSIONS = {name: text for each in STORED for name, text in each["sessions"].items()}
EVENTS_FOUND = next(each for each in STORED[1]["events"])
EVENTS = [text for each in STORED for text in each["events"]]


def newer(session, *path, **fields):
    """The session as a version writes it that has more fields, there where *path* leads."""
    plain = inner = orjson.loads(to_json(session))
    for step in path:
        inner = inner[step]
    inner.update(fields)
    return orjson.dumps(plain)


def test_there_is_a_sample_of_every_form():
    tags = {orjson.loads(text)[0] for text in EVENTS}
    phases = {orjson.loads(text)["phase"] for text in SESSIONS.values()}

    assert tags == set(events._FORMS)
    assert phases == {phase for phase in Phase if phase is not Phase.OVER}


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_of_an_earlier_version_goes_on(name):
    session = from_json(SESSIONS[name].encode())

    assert session.call_id == CALL
    session = table.decide(session, events.HangupAsked(20_000, "root"))
    assert session.phase is Phase.ENDING
    assert call_record(session).ended_by
    assert from_json(to_json(session)) == session


@pytest.mark.parametrize("text", EVENTS)
def test_an_event_of_an_earlier_version_is_read(text):
    event = events.decode(text.encode())

    plain = orjson.loads(text)
    assert orjson.loads(events.encode(event))[: len(plain)] == plain


def test_an_event_with_more_fields_is_read_without_them():
    newer = b'["left","a",2,"media",0,0,false,7,{"why":"how"}]'

    assert events.decode(newer) == ChannelLeft("a", 2, "media")


def test_a_call_that_is_found_says_nothing_of_what_older_versions_do_not_know_and_it_has_not():
    found = events.decode(EVENTS_FOUND.encode())

    assert orjson.loads(events.encode(found)) == orjson.loads(EVENTS_FOUND)
    ringing = dataclasses.replace(found, phone="Ringing")
    assert events.decode(events.encode(ringing)) == ringing


def test_an_event_with_fewer_fields_has_the_defaults():
    assert events.decode(b'["hangup","a",2]') == HangupRequested("a", 2)
    entered = events.decode(b'["entered","a",2,"PJSIP/a","33","44","","acme"]')
    assert isinstance(entered, CallEntered)
    assert not entered.recovered


@pytest.mark.parametrize("data", [b'["left@2","a",2]', b'["unheard of",1]'])
def test_an_event_of_a_form_that_is_not_known_is_told_from_rubbish(data):
    with pytest.raises(
        FromNewerVersion, match="of a form that this version of Ringmaster does not"
    ):
        events.decode(data)


def test_a_command_with_more_fields_is_read_without_them():
    command = CreateChannel(b(), A, "PJSIP/33@x", 60, "44")

    assert commands.from_plain([*commands.to_plain(command), {"X-Header": "1"}]) == command


@pytest.mark.parametrize("path", [(), ("legs", 0)], ids=["the session", "an attempt"])
def test_what_a_newer_version_added_comes_back_to_it_through_an_older_one(path):
    session = talking().session
    older = from_json(newer(session, *path, quality={"mos": 4.2}))
    holder = older if not path else older.legs[0]
    assert holder.unknown == {"quality": {"mos": 4.2}}

    after = table.decide(older, events.ChannelLeft(A, 9_000))
    again = from_json(to_json(after))
    assert again == after
    assert (again if not path else again.legs[0]).unknown == {"quality": {"mos": 4.2}}


def test_a_field_that_an_older_version_kept_is_read_by_the_version_that_knows_it():
    """As `a_up` would be if it were new: the older worker had it under ``unknown``."""
    session = talking().session
    plain = orjson.loads(to_json(session))
    del plain["a_up"], plain["legs"][0]["created"]
    plain["unknown"] = {"a_up": True}
    plain["legs"][0]["unknown"] = {"created": True}

    assert from_json(orjson.dumps(plain)) == session


@pytest.mark.parametrize("place", ["targets", "rules"])
def test_a_plan_with_more_fields_is_read_without_them(place):
    text = SESSIONS["reserving"]
    plain = orjson.loads(text)
    plain[place][0]["tariff"] = 7

    assert from_json(orjson.dumps(plain)) == from_json(text.encode())


def test_a_session_that_an_older_version_would_misunderstand_is_not_read_by_it():
    with pytest.raises(FromNewerVersion, match="another worker has to attend to the call"):
        from_json(newer(ringing().session, v=3))


def test_a_session_with_a_command_that_is_not_known_is_not_read():
    plain = orjson.loads(to_json(setting_up().session))
    plain["pending"].append(["whisper", "a"])

    with pytest.raises(FromNewerVersion, match="command pending which is of a form"):
        from_json(orjson.dumps(plain))


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b'{"v":1}', b'{"phase":"asleep"}'],
)
def test_a_session_that_is_none_is_refused_with_a_sentence(data):
    with pytest.raises(Unreadable, match="A session cannot be read"):
        from_json(data)


def test_a_command_is_the_same_whether_it_was_stored_or_not():
    session = replace(talking().session, pending=(Hangup(A, 16),))

    assert from_json(to_json(session)).pending == session.pending
