"""A node is burnt, renamed or gone from ARI_NODES: its calls end once they cannot live any more."""

from typing import get_args

import pytest
from msgspec.structs import replace

from calls.machine.commands import (
    AriCommand,
    CreateBridge,
    CreateChannel,
    LimitChannel,
    LookUp,
    Release,
    Reserve,
)
from calls.machine.events import Doubted, HangupAsked
from calls.machine.session import Phase
from cdr.record import Disposition, EndedBy, Integrity
from tests.machine.world import World, dialling, plan, ringing, routing, rule, setting_up, talking

AWAY = "node demo is not in ARI_NODES of this worker"
RULES = (rule(),)
MAX_CALL_S, RING_S = 3600, 30
ARI_COMMANDS = get_args(AriCommand)


def go_away(world: World) -> None:
    """Nothing reaches the node any more."""
    world.broken = dict.fromkeys(ARI_COMMANDS, AWAY)
    world.told.clear()


def created(**changes: object) -> World:
    """A call whose set-up hangs: what is to be done next is not done any more."""
    world = setting_up(**changes)
    world.do(Reserve)
    world.do(CreateChannel, CreateBridge, LimitChannel)
    world.session = replace(world.session, pending=())
    return world


def reserving(**changes: object) -> World:
    """A call that waits for its places, which nobody gives it."""
    world = setting_up(**changes)
    world.session = replace(world.session, pending=())
    return world


def live_on(world: World, until_ms: int) -> None:
    """Wake up whenever the call wants to, until then."""
    while world.session.phase is not Phase.OVER and world.session.wake_ms <= until_ms:
        world.doubt()


@pytest.mark.parametrize(
    ("begin", "disposition", "ended_by"),
    [
        (talking, Disposition.ANSWERED, EndedBy.LIMIT),
        (ringing, Disposition.CANCELLED, EndedBy.UNKNOWN),
        (dialling, Disposition.CANCELLED, EndedBy.UNKNOWN),
        (created, Disposition.CANCELLED, EndedBy.UNKNOWN),
        (reserving, Disposition.CANCELLED, EndedBy.UNKNOWN),
    ],
)
def test_a_call_of_it_ends_when_it_cannot_live_any_more(begin, disposition, ended_by):
    world = begin(found=plan(max_call_s=MAX_CALL_S), rules=RULES)
    last_ms = world.session.started_ms + (MAX_CALL_S + RING_S) * 1000
    go_away(world)
    live_on(world, last_ms)
    assert world.session.phase is not Phase.OVER
    live_on(world, last_ms + 180_000)

    assert world.record.disposition == disposition
    assert world.record.integrity == Integrity.RECOVERED
    assert world.record.ended_by == ended_by
    assert world.count(Release) == 1


def test_a_talk_is_not_billed_past_its_hard_limit():
    world = talking(found=plan(max_call_s=MAX_CALL_S))
    go_away(world)
    live_on(world, world.now_ms + 2 * MAX_CALL_S * 1000)

    assert world.record.talk_ms == MAX_CALL_S * 1000


def test_a_talk_whose_end_is_past_its_limit_ends_at_its_limit():
    world = talking(found=plan(max_call_s=MAX_CALL_S))
    go_away(world)
    world.now_ms += 2 * MAX_CALL_S * 1000
    world.hear(Doubted(world.now_ms))

    assert (world.record.ended_by, world.record.talk_ms) == ("unknown", MAX_CALL_S * 1000)
    assert world.record.integrity == Integrity.RECOVERED


def test_a_call_that_was_ending_ends():
    world = talking()
    go_away(world)
    world.hear(HangupAsked(world.now_ms, "root"))
    assert world.session.phase is Phase.ENDING
    live_on(world, world.now_ms + 2 * MAX_CALL_S * 1000)

    assert (world.record.ended_by, world.record.disposition) == ("admin", "answered")


def test_a_caller_of_whom_nothing_is_known_ends_by_the_dialplans_limit():
    world = routing()
    world.session = replace(world.session, pending=())
    go_away(world)
    live_on(world, world.now_ms + 14_000_000)
    assert world.session.phase is not Phase.OVER
    live_on(world, world.now_ms + 1_000_000)

    assert world.record.disposition == Disposition.CANCELLED


def test_a_node_that_is_only_away_for_a_while_loses_no_call():
    world = talking(found=plan(max_call_s=MAX_CALL_S))
    go_away(world)
    world.hear(Doubted(world.now_ms))
    live_on(world, world.now_ms + 1_800_000)
    world.broken.clear()
    world.doubt()

    assert world.session.phase is Phase.TALKING
    assert world.count(LookUp) > 1
