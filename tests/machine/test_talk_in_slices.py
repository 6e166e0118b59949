"""Talk whose minutes are counted lasts a slice, and asks for the next one in time."""

from dataclasses import replace

import pytest
from msgspec import structs

from calls.limits import slices as sizes
from calls.machine import slices
from calls.machine.commands import CreateChannel, Extend, LimitChannel, Release
from calls.machine.events import CommandFailed, Doubted, Extended, HangupAsked, Reserved
from calls.machine.session import Phase, from_json, to_json
from tests.machine.world import (
    A,
    World,
    b,
    plan,
    ringing,
    routing,
    rule,
    setting_up,
    talking,
    target,
)

BY = "account acme: 10 minutes a day"
MINUTES = (replace(rule("minutes", value=10, window="day:2026-11-25"), name=BY),)
AWAY = CommandFailed(0, Extend(60), "calls cannot be counted", unknown=True)


def sliced(make=talking, talk_s=60, **changes) -> World:
    """A call that has been granted its first slice."""
    facts = {"rules": MINUTES, "answers": [Reserved(0, (), talk_s, BY, "carrier-a")]}
    return make(**(facts | changes))


def at_s(world: World, second: float) -> None:
    """So long after the answer something makes the call look."""
    world.now_ms = world.session.answered_ms + round(second * 1000)
    world.hear(Doubted(world.now_ms))
    world.hear_all()


def asked(world: World) -> list[int]:
    return [each.have_s for each in world.done if isinstance(each, Extend)]


def limits_of(world: World) -> dict[str, int]:
    """The last limit that was put on each channel, in seconds."""
    return {each.channel_id: each.limit_s for each in world.done if isinstance(each, LimitChannel)}


@pytest.mark.parametrize(("slice_s", "margin_s"), [(60, 15), (20, 10), (2, 1), (1, 0.5)])
def test_a_talk_wakes_before_its_slice_ends(slice_s, margin_s):
    world = sliced(talk_s=slice_s)

    wakes_s = (world.session.wake_ms - world.session.answered_ms) / 1000
    assert wakes_s == slice_s - margin_s
    assert asked(world) == []


def test_a_talk_that_may_go_on_asks_again_before_the_next_slice_ends():
    world = sliced(more=[Extended(0, 120, BY), Extended(0, 150, BY)])
    at_s(world, 45)
    at_s(world, 105)

    assert asked(world) == [60, 120]
    assert world.session.wake_ms == world.session.answered_ms + 135_000
    assert world.session.phase is Phase.TALKING


def test_a_talk_whose_minutes_are_used_up_ends_with_its_slice():
    world = sliced(more=[Extended(0, 60, BY)])
    at_s(world, 45)
    assert world.session.wake_ms == world.session.answered_ms + 60_000
    at_s(world, 60)

    record = world.record
    assert (record.ended_by, record.talk_ms) == ("limit", 60_000)
    assert record.reason == f"the hard limit of 60 s was reached ({BY})"
    assert asked(world) == [60]
    assert Release(60_000) in world.done


def test_a_look_for_another_reason_asks_for_nothing_yet():
    world = sliced()
    at_s(world, 44.9)

    assert asked(world) == []
    assert world.session.wake_ms == world.session.answered_ms + 45_000


def test_a_talk_that_reaches_its_hard_limit_in_a_slice_asks_for_no_more():
    found = plan(max_call_s=100)
    world = sliced(found=found, more=[Extended(0, 100, BY)])
    at_s(world, 45)

    assert world.session.wake_ms == world.session.answered_ms + 100_000
    at_s(world, 100)
    assert world.record.reason == "the hard limit of 100 s was reached"


def test_a_first_slice_that_outlasts_the_longest_call_is_all_it_needs():
    world = sliced(talk_s=60, found=plan(max_call_s=60))

    assert world.session.wake_ms == world.session.answered_ms + 60_000
    assert world.session.granted_s is None


# --- Nobody answers -------------------------------------------------------------------------------


def test_a_talk_that_nobody_can_count_asks_again_every_second_and_goes_on():
    world = sliced(more=[Extended(0, 120, BY)], broken={Extend: AWAY})
    for second in (45, 46.1, 47.2):
        at_s(world, second)
    assert world.session.wake_ms == world.now_ms + sizes.AGAIN_MS
    world.broken = {}
    at_s(world, 48.3)

    assert asked(world) == [60] * 4
    assert world.session.wake_ms == world.session.answered_ms + 105_000


def test_a_talk_that_nobody_can_count_ends_with_its_slice():
    world = sliced(broken={Extend: AWAY})
    at_s(world, 59.5)
    assert world.session.wake_ms == world.session.answered_ms + 60_000
    at_s(world, 60)

    record = world.record
    assert (record.ended_by, record.talk_ms) == ("limit", 60_000)
    assert record.reason == f"its minutes could not be counted past 60 s ({BY})"


def test_a_talk_that_all_of_us_slept_through_ends_when_somebody_looks():
    world = sliced()
    at_s(world, 61.5)

    assert (world.record.ended_by, asked(world)) == ("limit", [])


# --- All of us are dead: Asterisk ends both legs --------------------------------------------------


def test_before_the_answer_asterisk_lets_both_legs_live_for_ringing_and_one_slice():
    world = sliced(ringing, found=plan(target(), target("carrier-b")))

    (create,) = [each for each in world.done if isinstance(each, CreateChannel)]
    assert create.limit_s == 60 + 30
    assert limits_of(world) == {A: 60 + 30 + 30}


def test_with_the_answer_asterisk_is_told_when_the_slice_ends():
    assert limits_of(sliced()) == dict.fromkeys((A, b()), 60 + sizes.GRACE_S)


def test_with_each_slice_asterisk_is_told_anew():
    world = sliced(more=[Extended(0, 120, BY)])
    at_s(world, 45)

    # Counted from then on, in whole seconds: never longer than slice and grace.
    assert limits_of(world) == dict.fromkeys((A, b()), 120 - 45 - 1 + sizes.GRACE_S)


def test_a_leg_that_asterisk_ended_with_the_slice_is_recorded_as_limited():
    world = sliced()
    world.now_ms = world.session.answered_ms + 60_000 + sizes.GRACE_S * 1000
    world.end(b(), silently=True)
    world.hear_all()

    assert world.record.ended_by == "limit"


def test_a_call_whose_minutes_nobody_counts_costs_no_request_more():
    world = talking()

    assert set(limits_of(world)) == {A}
    assert asked(world) == []


# --- What may happen in between -------------------------------------------------------------------


def test_a_caller_who_hangs_up_while_more_is_asked_for_is_asked_for_no_more():
    world = sliced()
    world.decide(Doubted(world.session.answered_ms + 45_000))
    world.decide(HangupAsked(world.now_ms + 45_000, "root"))

    assert not any(isinstance(each, Extend) for each in world.session.pending)


def test_an_answer_that_comes_after_the_end_changes_nothing():
    world = sliced()
    world.decide(Doubted(world.session.answered_ms + 45_000))
    world.decide(HangupAsked(world.now_ms + 45_000, "root"))
    before = world.session
    world.decide(Extended(world.now_ms, 120, BY))

    assert world.session == before


def test_an_answer_of_an_earlier_worker_takes_no_talk_back():
    world = sliced(more=[Extended(0, 120, BY)])
    at_s(world, 45)
    world.decide(Extended(world.now_ms, 60, BY))

    assert world.session.granted_s == 120


def test_a_worker_that_dies_after_asking_lets_the_next_ask_the_same():
    world = sliced(more=[Extended(0, 120, BY), Extended(0, 120, BY)])
    world.save()
    world.decide(Doubted(world.session.answered_ms + 45_000))
    world.do(Extend)
    world.die_and_come_back()
    at_s(world, 45)

    assert asked(world) == [60, 60]
    assert world.session.granted_s == 120


def test_the_slices_of_a_session_are_saved_and_one_of_an_older_version_has_none():
    session = sliced().session
    assert from_json(to_json(session)) == session

    older = structs.replace(session, granted_s=None)
    assert slices.wake_ms(older) == session.answered_ms + 3_600_000


def test_the_trunk_that_has_the_place_is_dialled_also_where_it_comes_second_now():
    """A worker died before it saved the answer, and the configuration has changed since."""
    world = routing(
        rules=MINUTES,
        found=plan(target("carrier-b"), target("carrier-a"), target("carrier-c")),
        answers=[Reserved(0, (), None, "", "carrier-a")],
    )
    world.work()

    assert world.session.leg.trunk == "carrier-a"
    assert [each.trunk for each in world.session.targets] == ["carrier-b", "carrier-c"]


def test_setting_up_with_a_slice_keeps_the_hard_limit_for_later():
    world = sliced(setting_up)
    world.work()

    assert (world.session.max_call_s, world.session.granted_s) == (3600, 60)


def test_a_talk_that_was_rebuilt_asks_at_once_for_what_it_needs_from_then_on():
    """Redis forgot what was spent for it, and its digest in Asterisk does not know."""
    world = sliced(more=[Extended(0, 80, BY)])
    answered_ms = world.session.answered_ms
    world.now_ms = answered_ms + 40_000
    world.forget(answered_ms=answered_ms)
    assert world.session.granted_s == 41 + 5
    world.doubt()

    assert asked(world) == [46]
    assert world.session.wake_ms == answered_ms + 65_000


def test_a_talk_without_minutes_that_was_rebuilt_asks_for_none():
    world = talking(rules=(rule(),))
    world.forget(answered_ms=world.session.answered_ms)

    assert world.session.granted_s is None
