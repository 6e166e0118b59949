"""A live call is shown as the machine sees it with the events that still wait. Pure."""

import pytest

from calls.engine.live import LiveCall, LiveState, live_call
from calls.machine.beginning import begin
from calls.machine.events import (
    CallEntered,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    HangupAsked,
    HangupRequested,
    RouteChosen,
)
from calls.machine.table import decide
from calls.routing.choice import Plan, Target
from calls.text import printable

A = "1763900000.1"
B = f"{A}.b1"
CALL = f"demo:{A}"


def entered() -> CallEntered:
    return CallEntered(
        channel_id=A,
        at_ms=1_000,
        channel_name="PJSIP/alice-00000001",
        dialled="+4930231250",
        caller_number="alice",
        caller_name="Alice",
        account_code="acme",
    )


def routed():
    """A session whose first attempt, by carrier-a, has just begun."""
    target = Target("carrier-a", "PJSIP/4930231250@carrier-a", "4930231250", "", 30)
    plan = Plan("acme", "4930231250", "", "49", "49 (all)", 3600, (target,))
    return decide(begin(CALL, entered()), RouteChosen(1_100, plan))


def shown(*events, session=None) -> LiveCall:
    call = live_call(CALL, session or routed(), events)
    assert call is not None
    return call


def test_a_call_that_no_worker_has_seen_yet_is_being_routed():
    call = live_call(CALL, None, [entered()])
    assert call == LiveCall(
        call_id=CALL,
        state=LiveState.ROUTING,
        started_ms=1_000,
        since_ms=1_000,
        account="",
        caller="alice",
        callee="+4930231250",
        trunk="",
        attempt=0,
    )
    assert call.node == "demo"


def test_a_routed_call_shows_its_account_trunk_and_attempt():
    call = shown()
    assert (call.account, call.trunk, call.attempt) == ("acme", "carrier-a", 1)


@pytest.mark.parametrize(
    ("events", "state", "since_ms"),
    [
        ([], LiveState.DIALLING, 1_100),
        ([ChannelDialled(B, 1_200)], LiveState.DIALLING, 1_100),
        ([ChannelProgressed(B, 1_300)], LiveState.EARLY_MEDIA, 1_300),
        ([ChannelRinging(B, 1_400)], LiveState.RINGING, 1_400),
        ([ChannelProgressed(B, 1_300), ChannelRinging(B, 1_400)], LiveState.RINGING, 1_400),
        ([ChannelRinging(B, 1_400), ChannelAnswered(B, 2_000)], LiveState.TALKING, 2_000),
        ([ChannelAnswered(B, 2_000), HangupRequested(A, 5_000)], LiveState.ENDING, 5_000),
        ([HangupAsked(3_000, "admin")], LiveState.ENDING, 3_000),
    ],
)
def test_waiting_events_are_taken_in(events, state, since_ms):
    call = shown(*events)
    assert (call.state, call.since_ms) == (state, since_ms)


def test_the_next_attempt_starts_its_state_anew():
    second = Target("carrier-b", "PJSIP/4930231250@carrier-b", "4930231250", "", 30)
    first = Target("carrier-a", "PJSIP/4930231250@carrier-a", "4930231250", "", 30)
    plan = Plan("acme", "4930231250", "", "49", "49 (all)", 3600, (first, second))
    session = decide(begin(CALL, entered()), RouteChosen(1_100, plan))
    call = shown(ChannelDestroyed(B, 1_500, cause=34, sip_code=503), session=session)
    assert (call.trunk, call.attempt) == ("carrier-b", 2)
    assert (call.state, call.since_ms) == (LiveState.DIALLING, 1_500)


def test_a_call_that_waiting_events_bring_to_its_end_is_not_live():
    """Refused before any channel of ours was there, its caller has gone since."""
    session = decide(begin(CALL, entered()), HangupRequested(A, 1_050))
    assert session.phase == "ending"
    assert live_call(CALL, session, [ChannelLeft(A, 1_060)]) is None


def test_a_call_without_session_and_events_is_not_live():
    assert live_call(CALL, None, []) is None


def test_events_of_a_call_that_never_began_show_nothing():
    assert live_call(CALL, None, [HangupAsked(1_000, "admin")]) is None


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("+49 30 23125 ü", "+49 30 23125 ü"),
        ("49\x1b[2J", r"49\x1b[2J"),
        ("49\r\n50", r"49\r\n50"),
        ("49\u202e05", r"49\u202e05"),
        ("49\x9b31m", r"49\x9b31m"),
    ],
)
def test_what_a_caller_sent_cannot_steer_a_terminal(text, safe):
    assert printable(text) == safe
