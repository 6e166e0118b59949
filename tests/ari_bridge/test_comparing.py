"""What a node holds against what is remembered: what is doubted, unknown, or left over. Pure."""

import orjson
import pytest
from msgspec.structs import replace

from ari_bridge.comparison import Findings, Held, Snapshot, expected_of
from ari_bridge.listing import PART, parts_of
from calls import ids
from calls.machine.commands import Dial, Hangup
from calls.machine.session import Phase
from tests.machine.world import (
    BRIDGE,
    CALL,
    A,
    b,
    calling,
    dialling,
    plan,
    ringing,
    routing,
    target,
)
from tests.machine.world import talking as talking_world


def listed(name, state="Up", app="ringmaster", app_name="Stasis"):
    return {
        "id": name,
        "name": "PJSIP/alice-00000001",
        "state": state,
        "caller": {"name": "", "number": "4930100"},
        "accountcode": "acme",
        "creationtime": "2020-01-01T00:00:00.000+0000",
        "dialplan": {"exten": "33123", "app_name": app_name, "app_data": app},
    }


def bridge(name=BRIDGE, text=""):
    return {"id": name, "name": text}


def snapshot(channels=(), bridges=(), wanted=()):
    made = Snapshot("ringmaster", wanted or [each["id"] for each in channels])
    made.add_channels(channels)
    made.add_bridges(bridges)
    return made


def judged(channels=(), bridges=(), live=(), over=()):
    made, findings = snapshot(channels, bridges), Findings()
    findings.judge("demo", list(made.calls), made, live, over)
    return findings


A_UP, B_UP = listed(A), listed(b())
PHONE = ids.ordered_channel("token:1", "key", "20261129")
CALLED = listed(PHONE, "Ringing")
CALLED_BEFORE = listed(PHONE, "Ringing", app_name="AppDial2", app="(Outgoing Line)")
"""As a worker of the version before calls it."""
SILENT = listed(PHONE, "Down") | {"name": "Local/silent@ringmaster-00000001;1"}
RING = listed(A, "Ring")


@pytest.mark.parametrize(
    ("session", "channels", "doubtful"),
    [
        (talking_world().session, [A_UP, B_UP], False),
        (talking_world().session, [A_UP], True),
        (talking_world().session, [B_UP], True),
        (talking_world().session, [], True),
        (ringing().session, [RING, listed(b(), "Ringing")], False),
        (ringing().session, [RING, B_UP], True),
        (dialling().session, [RING, listed(b(), "Down")], False),
        (dialling().session, [RING], True),
        # A phone that rings is there, whichever version called it.
        (calling().session, [CALLED | {"id": A}], False),
        (calling().session, [CALLED_BEFORE | {"id": A}], False),
        (calling().session, [], True),
        # Of one that is up the answer was not heard: somebody holds it, and waits.
        (calling().session, [A_UP], True),
        # What has not been created yet cannot be missed, and who waits for a route has no legs.
        (routing().session, [], False),
        # Something is about to be done for it: that will tell.
        (replace(talking_world().session, pending=(Hangup(A, 16),)), [], False),
        # What ends should have ended.
        (replace(talking_world().session, phase=Phase.ENDING), [A_UP, B_UP], True),
    ],
)
def test_a_call_is_doubted_where_its_channels_are_not_as_remembered(session, channels, doubtful):
    expected = expected_of(session)

    assert (expected is not None and expected.is_contradicted(snapshot(channels).states)) is (
        doubtful
    )


@pytest.mark.parametrize(
    ("session", "unheard"),
    [
        (ringing().session, [b()]),
        (talking_world().session, []),
        # Also where something is about to be done, as by a Redis that went back in time.
        (replace(dialling().session, pending=(Dial(b(), 30),)), [b()]),
        (routing().session, []),
    ],
)
def test_an_answer_that_nobody_heard_is_seen(session, unheard):
    expected = expected_of(session)
    states = snapshot([RING, B_UP]).states

    assert (expected.answered_unheard(states) if expected else []) == unheard


def test_a_leg_that_is_known_to_be_gone_is_not_missed():
    world = dialling(found=plan(target(), target("carrier-b")))
    world.end(b(1), 34, 503)
    world.hear_all()
    states = snapshot([RING, listed(b(2), "Down")]).states

    assert not expected_of(world.session).is_contradicted(states)


@pytest.mark.parametrize(
    ("channels", "bridges", "held"),
    [
        ([RING], [], Held(RING)),
        ([A_UP], [], Held(A_UP)),
        ([listed(A, "Ring", "ringmaster,from-carrier")], [], None),
        ([A_UP, B_UP], [bridge()], Held(A_UP, {1: (b(), "Up")}, "")),
        ([B_UP], [bridge(text="x")], Held(None, {1: (b(), "Up")}, "x")),
        ([B_UP, listed(b(12))], [], Held(None, {1: (b(), "Up"), 12: (b(12), "Up")})),
        ([], [bridge()], Held(bridge="")),
        ([CALLED], [], Held(phone="Ringing")),
        ([listed(PHONE)], [], None),
        ([CALLED_BEFORE], [], Held(phone="Ringing")),
        ([SILENT, listed(f"{PHONE};2", app_name="")], [], None),
        ([B_UP, listed(f"{b()};1"), listed(f"{b()};2")], [], Held(None, {1: (b(), "Up")})),
    ],
    ids=["a caller", "an answered caller", "with arguments", "a whole call", "without a caller",
         "attempts", "a bridge", "a phone that is called", "a phone that has answered",
         "a phone that the version before calls", "half of a silent channel", "halves of Local"],
)  # fmt: skip
def test_what_nobody_remembers_is_unknown_with_all_that_the_node_holds_of_it(
    channels, bridges, held
):
    (found,) = judged(channels, bridges).unknown.values()

    assert found == (held or Held(channels[0]))


@pytest.mark.parametrize("what", ["unknown", "left_over"])
def test_what_lives_is_neither_unknown_nor_left_over(what):
    assert getattr(judged([A_UP, B_UP], [bridge()], live={CALL}), what) == {}


def test_what_is_over_is_left_over():
    findings = judged([A_UP, B_UP], [bridge()], over={CALL})

    assert list(findings.left_over[A].paths(A)) == [
        f"/channels/{A}",
        f"/channels/{b()}",
        f"/bridges/{BRIDGE}",
    ]
    assert findings.unknown == {}


@pytest.mark.parametrize(
    ("channels", "bridges"),
    [
        ([listed("9.9", app="other"), listed("9.9.b1", app="other")], [bridge("9.9.br")]),
        ([listed("9.10", app_name="Dial")], []),
        ([listed(PHONE, app="other")], []),
        ([listed(PHONE, "Ringing", app="other")], []),
        ([listed("9.10", app_name="")], []),
        ([listed("9.9.b1", app="other")], []),
        ([], [bridge("conf-1"), bridge("x.brx"), bridge("9.9.b1")]),
    ],
)
def test_other_programs_channels_and_bridges_are_left_alone(channels, bridges):
    assert judged(channels, bridges) == Findings()


def test_of_callers_that_nobody_wants_to_know_more_of_only_their_presence_is_kept():
    made = snapshot([RING, B_UP], wanted=["other"])

    assert made.calls == {A: Held({}, {1: (b(), "Up")})}


def test_an_unknown_call_tells_all_that_is_listed_of_it():
    found = Held(RING, {2: (b(2), "Ringing")}, "x").found(A, 5, "digest", 4)

    assert (found.channel_id, found.present, found.up, found.bridge) == (A, True, False, True)
    assert (found.dialled, found.caller_number, found.account_code) == ("33123", "4930100", "acme")
    assert (found.legs, found.digest, found.answered_ms) == (((2, "Ringing"),), "digest", 4)
    assert found.started_ms == 1_577_836_800_000


def test_a_phone_that_is_called_is_told_with_its_state():
    found = Held(phone="Ringing").found(PHONE, 5, "digest", None)

    assert (found.phone, found.present, found.digest) == ("Ringing", False, "digest")


def test_a_phone_that_is_called_for_a_call_that_is_over_is_left_over():
    made, findings = snapshot([CALLED]), Findings()
    findings.judge("demo", [PHONE], made, live=(), over={f"demo:{PHONE}"})

    assert list(findings.left_over[PHONE].paths(PHONE)) == [f"/channels/{PHONE}"]


def test_one_whose_caller_has_gone_tells_nothing_of_them():
    found = Held(None, {1: (b(), "Up")}).found(A, 5, "", None)

    assert (found.present, found.channel_name, found.started_ms) == (False, "", 0)


# --- Listings in parts ---


def as_asterisk_writes(entries):
    return orjson.dumps(entries)


@pytest.mark.parametrize("count", [1, 2, PART - 1, PART, PART + 1, 3 * PART])
def test_a_listing_is_the_same_in_parts(count):
    entries = [listed(f"{number}.1") for number in range(count)]
    parts = list(parts_of(as_asterisk_writes(entries)))

    assert [each for part in parts for each in orjson.loads(part)] == entries
    assert max(len(orjson.loads(part)) for part in parts) <= PART


@pytest.mark.parametrize(
    "name", ['},{"id":"x', "},{", '"},{"id":"', '\\"},{"id":"', "}]", '[{"id":"'],
)  # fmt: skip
def test_a_hostile_name_does_not_part_an_entry(name):
    entries = [listed("1.1") | {"caller": {"name": name, "number": name}} for _ in range(PART + 2)]
    parts = list(parts_of(as_asterisk_writes(entries)))

    assert [each for part in parts for each in orjson.loads(part)] == entries


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b"", b'[ {"id": "1.1"} ]', b'"x"', b"[1]"])
def test_what_looks_unfamiliar_is_read_as_it_is(body):
    assert list(parts_of(body)) == [body]
