"""A call with limits asks for its places before it dials, and gives them back when it ends."""

import pytest

from calls.limits.rules import Skip
from calls.machine.commands import (
    CreateBridge,
    CreateChannel,
    Dial,
    FindRoute,
    Hangup,
    Release,
    Reserve,
)
from calls.machine.events import (
    ChannelAnswered,
    CommandFailed,
    Doubted,
    HangupAsked,
    LimitRefused,
    Reserved,
)
from calls.machine.session import Phase
from tests.machine.world import (
    A,
    World,
    b,
    dialling,
    entered,
    plan,
    ringing,
    routing,
    rule,
    setting_up,
    talking,
    target,
)

BOTH = plan(target("carrier-a"), target("carrier-b"))
FULL = Skip("carrier-a", "full", "trunk carrier-a is full (trunk carrier-a: 2 concurrent)")
AWAY = CommandFailed(0, Reserve(1), "calls cannot be counted", unknown=True)


def limited(**changes):
    return {"rules": (rule(),), "found": BOTH} | changes


def reserving(**changes):
    """A call whose places have been asked for, and nothing was answered yet."""
    world = routing(**limited(**changes))
    world.do(FindRoute)
    assert world.session.phase is Phase.RESERVING
    return world


def test_a_call_without_limits_asks_at_no_counter():
    world = talking()
    world.end(A)
    world.hear_all()

    assert world.count(Reserve) == world.count(Release) == 0


def test_nothing_is_created_before_there_is_a_place():
    world = reserving()

    assert world.session.pending == (Reserve(1),)
    world.do(Reserve)
    assert world.session.phase is Phase.SETUP
    assert [type(each) for each in world.session.pending][:2] == [CreateChannel, CreateBridge]


def test_a_refused_caller_hears_480_and_the_record_names_the_limit():
    world = World(**limited(answers=[LimitRefused(0, "account acme: 3 concurrent")]))
    world.hear(entered())
    world.hear_all()

    assert world.done[2:] == [Hangup(A, 31)]
    record = world.record
    assert (record.disposition, record.q850_cause, record.ended_by) == ("limited", 31, "limit")
    assert record.reason == "the limit is reached: account acme: 3 concurrent"
    assert record.attempts == ()


def test_a_call_that_was_refused_has_nothing_to_give_back():
    world = World(**limited(answers=[LimitRefused(0, "account acme: 3 concurrent")]))
    world.hear(entered())
    world.hear_all()

    assert world.count(Release) == 0


def test_a_full_trunk_is_skipped_with_its_reason_and_the_next_is_dialled():
    world = dialling(**limited(answers=[Reserved(0, (FULL,))]))
    world.answer(b(2))
    world.hear_all()
    world.end(A)
    world.hear_all()

    skipped, dialled = world.record.attempts
    assert (skipped.outcome, skipped.reason) == ("skipped_full", FULL.reason)
    assert (dialled.outcome, dialled.trunk) == ("dialled", "carrier-b")
    assert world.record.disposition == "answered"


def test_trunks_that_are_all_skipped_are_congestion_with_every_reason():
    down = Skip("carrier-b", "down", "trunk carrier-b is down")
    world = World(**limited(answers=[Reserved(0, (FULL, down))]))
    world.hear(entered())
    world.hear_all()

    record = world.record
    assert (record.disposition, record.q850_cause) == ("congestion", 34)
    assert record.reason == f"{FULL.reason}, {down.reason}"
    assert [each.outcome for each in record.attempts] == ["skipped_full", "skipped_down"]
    assert world.count(Release) == 1


def test_minutes_that_outlast_the_longest_call_cap_nothing():
    world = setting_up(**limited(answers=[Reserved(0, (), 3601, "minutes")]))
    world.do(Reserve)

    assert (world.session.max_call_s, world.session.capped_by) == (3600, "")


def test_a_longest_call_that_a_limit_set_is_named_in_the_record():
    world = talking(found=plan(max_call_s=60), capped_by="prefix 33: 60 seconds at most")
    world.now_ms = world.session.wake_ms
    world.doubt()
    world.hear_all()

    assert world.record.reason == (
        "the hard limit of 60 s was reached (prefix 33: 60 seconds at most)"
    )


def test_the_places_are_given_back_as_the_call_begins_to_end_with_its_talk():
    world = talking(**limited())
    answered_ms = world.session.answered_ms
    world.end(b())
    hangup = world.told.pop(0)
    world.unsaved.append(hangup)
    world._take_in(hangup)

    assert world.session.phase is Phase.ENDING
    assert Release(hangup.at_ms - answered_ms) in world.session.pending
    world.hear_all()
    assert world.count(Release) == 1
    assert world.record.talk_ms == hangup.at_ms - answered_ms


@pytest.mark.parametrize("state", [reserving, dialling, ringing])
def test_a_call_that_was_never_answered_gives_back_without_talk(state):
    world = state(**({} if state is reserving else limited()))
    world.end(A, 127)
    world.hear_all()

    assert [each for each in world.done if isinstance(each, Release)] == [Release(0)]
    assert world.record.disposition == "cancelled"
    assert world.empty


def test_a_call_that_only_a_sick_trunk_made_ask_gives_nothing_back():
    world = talking(rules=())
    world.end(A)
    world.hear_all()

    assert (world.count(Reserve), world.count(Release)) == (1, 0)


# --- Hunting on -----------------------------------------------------------------------------------


def assert_asked_again(world, trunk="carrier-b"):
    assert [each for each in world.done if isinstance(each, Reserve)] == [Reserve(1), Reserve(2)]
    assert world.session.leg.trunk == trunk
    assert world.session.phase is Phase.DIALLING


def test_the_next_trunk_is_asked_for_room_when_the_first_refuses():
    world = dialling(**limited())
    world.end(b(1), 34, 503)
    world.hear_all()

    assert_asked_again(world)


def test_the_next_trunk_is_asked_for_room_when_the_first_cannot_be_created():
    world = routing(**limited())
    world.do(FindRoute)
    world.do(Reserve)
    world.broken = {CreateChannel: "500 Allocation failed"}
    world.do(CreateChannel)
    assert world.session.phase is Phase.RESERVING
    world.broken = {}
    world.work()

    assert_asked_again(world)


def test_the_next_trunk_is_asked_for_room_when_the_first_vanishes_in_the_set_up():
    world = routing(**limited())
    world.do(FindRoute)
    world.do(Reserve)
    world.do(CreateChannel)
    world.end(b(1), 34, 503)
    for event in world.told:
        world._take_in(event)
    world.told.clear()
    world.work()

    assert_asked_again(world)


@pytest.mark.parametrize("phase", [Phase.SETUP, Phase.DIALLING])
def test_a_trunk_is_asked_for_room_again_when_a_look_finds_the_first_gone(phase):
    world = routing(**limited())
    world.do(FindRoute)
    world.do(Reserve)
    if phase is Phase.DIALLING:
        world.work()
    else:
        world.do(CreateChannel)
    world.end(b(1), 34, 503)
    world.told.clear()
    assert world.session.phase is phase
    while world.session.phase is phase:
        if world.session.pending:
            world.decide(world.carry_out(world.session.pending[-1]))
        else:
            world.now_ms = world.session.wake_ms
            world.decide(Doubted(world.now_ms))
    world.work()

    # What was never dialled says nothing of its trunk, which is tried once more.
    assert_asked_again(world, "carrier-a" if phase is Phase.SETUP else "carrier-b")


def test_a_bridge_that_cannot_be_made_ends_the_call_also_while_it_hunts_on():
    world = World(**limited())
    world.broken = dict.fromkeys((CreateChannel, CreateBridge), "500 Allocation failed")
    world.hear(entered())
    world.hear_all()

    assert (world.record.disposition, world.count(Reserve)) == ("congestion", 1)
    assert world.empty


def test_a_caller_who_leaves_while_it_hunts_on_is_dialled_for_no_more():
    world = dialling(**limited())
    world.end(b(1), 34, 503)
    for event in list(world.told):
        world.unsaved.append(event)
        world._take_in(event)
    world.told.clear()
    assert world.session.phase is Phase.RESERVING
    world.end(A, 127)
    world.hear_all()

    assert (world.record.disposition, world.count(Dial)) == ("cancelled", 1)


def test_a_call_whose_other_trunks_are_full_ends_with_the_cause_of_the_tried_one():
    full = Skip("carrier-b", "full", "trunk carrier-b is full")
    world = dialling(**limited(answers=[Reserved(0), Reserved(0, (full,))]))
    world.end(b(1), 1, 404)
    world.hear_all()

    record = world.record
    assert (record.disposition, record.q850_cause, record.sip_code) == ("unallocated", 1, 404)
    assert [each.outcome for each in record.attempts] == ["dialled", "skipped_full"]
    assert record.trunk == "carrier-a"


# --- While asking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("silently", [False, True])
def test_a_caller_who_leaves_while_asking_is_dialled_for_no_more(silently):
    world = reserving()
    world.end(A, 127, silently=silently)
    world.hear_all()

    assert (world.record.disposition, world.count(CreateChannel)) == ("cancelled", 0)


def test_a_destroyed_caller_of_whom_nothing_else_was_heard_ends_the_asking():
    world = reserving()
    world.end(A, 127)
    world.told = world.told[-1:]
    world.hear_all()

    assert world.record.disposition == "cancelled"


def test_a_person_may_end_a_call_that_is_asking():
    world = reserving()
    world.hear(HangupAsked(world.now_ms, "root"))
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "admin")


def test_a_doubt_while_asking_looks_and_goes_on_when_the_caller_is_there():
    world = reserving()
    world.decide(Doubted(world.session.wake_ms))
    world.decide(world.carry_out(world.session.pending[-1]))

    assert world.session.phase is Phase.RESERVING
    world.work()
    assert world.session.phase is Phase.DIALLING


def test_a_doubt_while_asking_ends_the_call_of_a_caller_who_is_gone():
    world = reserving()
    world.end(A)
    world.told.clear()
    world.decide(Doubted(world.session.wake_ms))
    world.decide(world.carry_out(world.session.pending[-1]))
    world.work()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "unknown")


def test_a_late_word_of_an_attempt_that_failed_changes_nothing_while_it_hunts_on():
    world = dialling(**limited())
    world.end(b(1), 34, 503)
    for event in list(world.told):
        world._take_in(event)
    before = world.session
    world.decide(ChannelAnswered(b(1), world.now_ms))

    assert (world.session.phase, world.session.pending) == (before.phase, before.pending)


# --- Counters that cannot be asked ----------------------------------------------------------------


def test_a_call_whose_limits_are_enforced_is_refused_when_nobody_can_count():
    world = World(**limited(broken={Reserve: AWAY}))
    world.hear(entered())
    world.hear_all()

    record = world.record
    assert (record.disposition, record.q850_cause, record.ended_by) == ("congestion", 34, "switch")
    assert record.reason == "calls cannot be counted"
    assert world.count(CreateChannel) == 0
    assert world.count(Release) == 1


@pytest.mark.parametrize("rules", [(), (rule(enforce=False),)])
def test_a_call_whose_limits_only_observe_goes_on_when_nobody_can_count(rules):
    world = dialling(rules=rules, broken={Reserve: AWAY})

    assert world.dialled == [b()]


def test_a_call_that_hunts_on_when_nobody_can_count_ends_with_the_cause_it_has():
    world = dialling(**limited())
    world.broken = {Reserve: AWAY}
    world.end(b(1), 34, 503)
    world.hear_all()

    assert (world.record.disposition, world.record.sip_code) == ("congestion", 503)
    assert len(world.dialled) == 1


# --- Dying workers --------------------------------------------------------------------------------


def test_a_worker_that_dies_after_asking_lets_the_next_one_ask_the_same():
    world = World(**limited())
    world.unsaved.append(entered())
    world._take_in(entered())
    world.do(FindRoute)
    world.do(Reserve)
    world.die_and_come_back()

    assert [each for each in world.done if isinstance(each, Reserve)] == [Reserve(1)] * 2
    assert world.dialled == [b()]


def test_a_worker_that_dies_while_giving_back_lets_the_next_one_say_the_same():
    world = talking(**limited())
    world.save()
    world.end(A)
    for event in list(world.told):
        world.unsaved.append(event)
        world._take_in(event)
    world.told.clear()
    world.do(Release)
    world.die_and_come_back()
    world.hear_all()

    said = [each for each in world.done if isinstance(each, Release)]
    assert len(said) == 2
    assert len(set(said)) == 1
    assert world.record.talk_ms == said[0].talk_ms
