"""Noting a fact is monotonic: what is known is neither moved nor forgotten by a later event."""

import pytest
from msgspec.structs import replace

from calls.machine import facts
from calls.machine.commands import (
    AddToBridge,
    Answer,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    Hangup,
    LimitChannel,
)
from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    CommandDone,
    CommandFailed,
    HangupRequested,
)
from calls.machine.session import BridgeState, EndSign
from calls.machine.signals import signal_of
from tests.machine.world import BRIDGE, A, b, dialling, plan, setting_up, talking, target


def leg_after(*events):
    session = dialling().session
    for event in events:
        session = facts.note(session, event)
    return session.leg


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (ChannelProgressed, "progress_ms"),
        (ChannelRinging, "ringing_ms"),
        (ChannelAnswered, "answered_ms"),
    ],
)
def test_the_first_time_counts_whatever_comes_later(kind, field):
    assert getattr(leg_after(kind(b(), 500), kind(b(), 100)), field) == 500


def test_the_first_sign_of_an_end_says_who_ended_it_and_when():
    leg = leg_after(HangupRequested(b(), 500), ChannelLeft(b(), 510), ChannelDestroyed(b(), 520))

    assert (leg.end_sign, leg.ended_ms, leg.gone) == (EndSign.HANGUP, 500, True)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_cause_and_sip_code_survive_an_event_without_them(order):
    ends = (ChannelDestroyed(b(), 520, 17, 486), ChannelDestroyed(b(), 521))
    leg = leg_after(*(ends[index] for index in order))

    assert (leg.cause, leg.sip_code) == (17, 486)


def test_the_flag_of_a_soft_hangup_is_not_taken_for_a_cause():
    leg = leg_after(HangupRequested(b(), 500, 32, soft=True))

    assert (leg.cause, leg.end_sign) == (None, EndSign.SOFT)


@pytest.mark.parametrize("kind", [ChannelDialled, ChannelProgressed, ChannelRinging])
def test_a_leg_that_is_heard_of_was_dialled(kind):
    world = setting_up()
    world.do(CreateChannel)

    assert facts.note(world.session, kind(b(), 100)).leg.dialled


@pytest.mark.parametrize(
    ("channel", "name"),
    [(A, "a ringing"), (b(2), "b ringing"), (b(1), "former b ringing"), ("x", "former b ringing")],
)
def test_a_signal_names_the_side_it_came_from(channel, name):
    world = dialling(found=plan(target(), target("carrier-b")))
    world.end(b(1), 34, 503)
    world.hear_all()

    assert str(signal_of(world.session, ChannelRinging(channel, 1))) == name


def pending_after(event, *commands):
    session = replace(dialling().session, pending=commands)
    return facts.note(session, event).pending


@pytest.mark.parametrize(
    ("event", "pointless"),
    [
        (ChannelAnswered(A, 1), Answer(A)),
        (ChannelLeft(A, 1), Answer(A)),
        (ChannelLeft(A, 1), Hangup(A, 16)),
        (ChannelLeft(A, 1), LimitChannel(A, 60)),
        (ChannelLeft(A, 1), AddToBridge(BRIDGE, (A, b()))),
        (ChannelDestroyed(b(), 1), Hangup(b(), 16)),
        (ChannelDestroyed(b(), 1), Dial(b(), 30)),
        (ChannelDestroyed(b(), 1), CreateChannel(b(), A, "x", 1, "")),
        (ChannelRinging(b(), 1), Dial(b(), 30)),
    ],
)
def test_a_command_whose_purpose_is_fulfilled_or_void_is_dropped(event, pointless):
    session = dialling().session
    leg = replace(session.leg, dialled=False)
    session = replace(session, legs=(leg,), pending=(pointless,))

    assert facts.note(session, event).pending == ()


def test_a_command_that_is_still_wanted_stays():
    wanted = (Hangup(b(), 16), Answer(A))

    assert pending_after(ChannelRinging(b(), 1), *wanted) == wanted


@pytest.mark.parametrize("outcome", [CommandDone, CommandFailed])
def test_a_command_with_an_outcome_is_pending_no_more(outcome):
    extra = ("it broke",) if outcome is CommandFailed else ()

    assert pending_after(outcome(1, Hangup(b(), 16), *extra), Hangup(b(), 16)) == ()


def test_a_hangup_of_what_is_not_there_any_more_shows_that_it_is_gone():
    session = facts.note(talking().session, CommandDone(9_000, Hangup(b(), 16), gone=True))

    assert (session.leg.gone, session.leg.end_sign) == (True, EndSign.MISSED)
    assert session.recovered


def test_a_bridge_that_was_destroyed_is_not_made_by_a_late_reply():
    session = facts.note(talking().session, CommandDone(1, DestroyBridge(BRIDGE)))
    session = facts.note(session, CommandDone(2, CreateBridge(BRIDGE)))

    assert session.bridge is BridgeState.GONE
