"""A call that ends takes everything down, insists on it, and stays over."""

import pytest

from calls.machine.commands import (
    AddToBridge,
    Answer,
    CreateChannel,
    DestroyBridge,
    Dial,
    Hangup,
    LookUp,
)
from calls.machine.events import (
    ChannelAnswered,
    ChannelLeft,
    ChannelRinging,
    Doubted,
    HangupAsked,
    HangupRequested,
)
from calls.machine.session import Phase
from calls.machine.table import decide, lingers
from tests.machine.world import BRIDGE, A, World, b, dialling, entered, ringing, talking


def ending() -> World:
    """A call that A has ended; B's hang-up and the bridge's end are still to be done."""
    world = talking()
    world.decide(HangupRequested(A, world.now_ms))
    assert world.session.phase is Phase.ENDING
    return world


def test_a_call_is_over_when_every_channel_is_gone_and_the_bridge_too():
    world = ending()
    world.work()
    assert world.session.phase is Phase.ENDING
    assert lingers(world.session)

    world.end(A)
    world.hear_all()
    assert world.session.phase is Phase.OVER


def test_a_look_at_an_ending_call_says_once_more_what_was_not_heard():
    world = ending()
    world.broken = dict.fromkeys((Hangup, DestroyBridge), "500 Internal Server Error")
    world.work()
    world.end(A)
    world.told.clear()
    world.broken = {}
    world.done.clear()
    world.doubt()

    assert Hangup(b(), 16) in world.done
    assert DestroyBridge(BRIDGE) in world.done
    world.hear_all()
    assert world.session.phase is Phase.OVER
    assert world.empty


def test_a_look_at_an_ending_call_of_which_nothing_is_left_closes_it():
    world = ending()
    world.channels.clear()
    world.bridges.clear()
    world.told.clear()
    world.doubt()

    assert world.session.phase is Phase.OVER


def test_while_asterisk_cannot_be_reached_it_is_asked_less_and_less_often_but_for_ever():
    world = ending()
    world.broken = dict.fromkeys((Hangup, DestroyBridge, LookUp), "connection refused")
    waits = []
    for _ in range(8):
        world.doubt()
        waits.append(world.session.wake_ms - world.now_ms)

    assert waits[0] < waits[2] < waits[4]
    assert max(waits) <= 60_000
    assert world.session.phase is Phase.ENDING
    world.broken = {}
    world.doubt()
    world.hear_all()
    world.end(A)
    world.doubt()
    assert world.session.phase is Phase.OVER
    assert world.empty


@pytest.mark.parametrize("phase", [dialling, ringing, talking])
def test_whatever_comes_while_it_ends_begins_nothing(phase):
    world = phase()
    world.decide(HangupRequested(A, world.now_ms))
    begun = [world.count(kind) for kind in (CreateChannel, Dial, AddToBridge, Answer)]
    for event in (ChannelAnswered(b(), 9_000), ChannelRinging(b(), 9_000), entered(9_000)):
        world.hear(event)
    world.end(A)
    world.hear_all()

    assert [world.count(kind) for kind in (CreateChannel, Dial, AddToBridge, Answer)] == begun
    assert world.session.phase is Phase.OVER


@pytest.mark.parametrize(
    "event",
    [
        entered(99_000),
        ChannelAnswered(b(), 99_000),
        ChannelLeft(A, 99_000),
        HangupAsked(99_000, "root"),
        Doubted(99_000),
    ],
    ids=lambda event: event.tag,
)
def test_a_call_that_is_over_stays_over(event):
    world = talking()
    world.end(A)
    world.hear_all()
    over = world.session

    assert over.phase is Phase.OVER
    assert decide(over, event) == over


@pytest.mark.parametrize("phase", [dialling, ringing, talking])
def test_a_second_stasis_start_of_a_channel_in_a_call_starts_nothing(phase):
    world = phase()
    before, done = world.session, len(world.done)
    world.hear(entered(9_000, dialled="h"))

    assert world.session == before
    assert len(world.done) == done


def test_an_event_of_a_channel_the_call_does_not_know_changes_nothing():
    world = talking()
    before = world.session
    world.hear(ChannelLeft(f"{A}.b7", world.now_ms))

    assert world.session == before


def test_ends_heard_twice_and_in_any_order_give_the_same_record():
    records = set()
    for order in ([0, 1, 2], [2, 1, 0], [0, 0, 1, 2, 2], [1, 0, 2]):
        world = talking()
        world.end(b(), 16)
        ends, world.told = world.told, []
        for index in order:
            world.hear(ends[index])
        world.hear_all()
        world.end(A)
        world.hear_all()
        records.add((world.record.ended_by, world.record.ended_ms, world.record.disposition))

    assert len(records) == 1
