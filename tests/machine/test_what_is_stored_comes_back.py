"""Events, commands and sessions come back from Redis as they went in, or not at all."""

import typing

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.errors import Unreadable
from calls.machine import commands, events
from calls.machine.commands import AddToBridge, Command
from calls.machine.events import HangupAsked, HangupRequested, MailboxEvent, Urgency
from calls.machine.session import Session, from_json, to_json
from calls.machine.table import fold
from calls.routing.targets import Skipped
from cdr.record import Outcome
from tests.examples import examples
from tests.machine.strategies import instance_of
from tests.machine.world import CALL, dialling, plan, target

EVENTS = typing.get_args(MailboxEvent)
COMMANDS = typing.get_args(Command)


@given(st.one_of(*map(instance_of, EVENTS)))
def test_an_event_comes_back_from_its_mailbox(event):
    assert events.decode(events.encode(event)) == event


@given(st.one_of(*map(instance_of, COMMANDS)))
def test_a_command_comes_back_from_its_session(command):
    there = orjson.loads(orjson.dumps(commands.to_plain(command)))

    assert commands.from_plain(there) == command


@settings(max_examples=examples(50))
@given(instance_of(Session))
def test_a_session_comes_back_whole(session):
    assert from_json(to_json(session)) == session


def test_words_of_a_newer_version_go_through_an_older_one_unchanged():
    session = dialling(found=plan(target(), target("carrier-b"))).session
    plain = orjson.loads(to_json(session))
    plain["legs"][0]["outcome"] = "skipped_fraud"
    plain["targets"][0]["skipped"] = "fraud"
    plain |= {"disposition": "fraud", "ended_by": "watchdog"}

    assert orjson.loads(to_json(from_json(orjson.dumps(plain)))) == plain


def test_what_a_session_says_of_its_end_is_stored_as_it_always_was():
    plain = orjson.loads(to_json(dialling().session))
    assert (plain["disposition"], plain["ended_by"]) == ("", "")
    assert plain["legs"][0]["outcome"] == "dialled"

    plain = orjson.loads(to_json(fold(CALL, dialling().session, [HangupAsked(5, "ann")])))
    assert (plain["disposition"], plain["ended_by"]) == ("cancelled", "admin")


def test_every_reason_to_skip_a_trunk_is_an_outcome_of_its_attempt():
    assert {Outcome(f"skipped_{why}") for why in Skipped if why} <= set(Outcome)


def test_no_two_kinds_share_a_tag():
    for kinds in (EVENTS, COMMANDS):
        assert len({kind.tag for kind in kinds}) == len(kinds)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"[1]",
        b'["left"]',
        b'["left",1,2]',
        b'["left","a","2"]',
        b'["left","a",true]',
        b'["entered","a",1,null,"33","","",""]',
        b"\xff",
    ],
)
def test_what_is_no_event_is_refused_with_a_sentence(data):
    with pytest.raises(Unreadable, match=r"^A mailbox holds b.*, which is .*\.$"):
        events.decode(data)


def test_a_command_that_was_stored_is_recognised_as_the_same():
    """Whether a command was left over by a dead worker is told by comparing it."""
    add = AddToBridge("a.br", ("a", "a.b1"))

    assert commands.from_plain(orjson.loads(orjson.dumps(commands.to_plain(add)))) == add


def test_every_event_says_how_soon_somebody_must_look():
    assert {kind.tag: kind.urgency for kind in EVENTS if isinstance(kind.urgency, Urgency)} == {
        "entered": Urgency.NOW,
        "ordered": Urgency.NOW,
        "found": Urgency.NOW,
        "dialled": Urgency.LATER,
        "progressed": Urgency.LATER,
        "ringing": Urgency.LATER,
        "destroyed": Urgency.NOW,
        "asked": Urgency.NOW,
        "doubted": Urgency.NOW,
    }


@pytest.mark.parametrize(
    ("hangup", "urgency"),
    [
        (HangupRequested("a", 1), Urgency.NOW),
        (HangupRequested("a", 1, 17), Urgency.SOON),
        (HangupRequested("a", 1, 32, soft=True), Urgency.SOON),
    ],
)
def test_a_hangup_with_a_cause_can_wait_for_the_end_that_follows_it(hangup, urgency):
    assert hangup.urgency is urgency


def test_the_leaving_of_a_may_be_the_last_thing_heard_and_that_of_b_never_is():
    assert events.ChannelLeft("1763900000.1", 1).urgency is Urgency.NOW
    assert events.ChannelLeft("1763900000.1.b1", 1).urgency is Urgency.SOON


def test_the_answer_of_b_is_urgent_and_that_of_a_is_not():
    assert events.ChannelAnswered("1763900000.1.b1", 1).urgency is Urgency.NOW
    assert events.ChannelAnswered("1763900000.1", 1).urgency is Urgency.LATER
