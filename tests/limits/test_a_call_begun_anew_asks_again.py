"""A waiting call that Redis forgot is routed anew, and its limits let it in like any that begins.

Its former attempts still count its channels (the next is b2), so the attempt's number does not say
whether anything is held; only the first attempt since the call was routed asks to be let in.
"""

import pytest
from msgspec.structs import replace

from calls.limits.rules import Denial, Skip, bind
from calls.machine.events import Reserved
from calls.machine.session import Phase
from calls.routing.targets import Skipped
from calls.store.counters import counter_key
from calls.store.questions import call_key
from tests.limits.calls import Up, call, rule
from tests.machine.world import ringing

ONE = rule("concurrent", 1)
ONE_A_SECOND = rule("cps", 1)
TEN_MINUTES = rule("minutes", 10, window="day")


def begun_anew(number, *rules, tried=("carrier-a",), **changes):
    """A call that asks for its second attempt's places, the first since it was routed anew."""
    return replace(call(number, *rules, tried=tried), first_attempt=2, **changes)


async def test_it_is_refused_where_others_have_taken_the_places_meanwhile(limits):
    await limits.reserve(call(1, ONE), 1)

    assert await limits.reserve(begun_anew(2, ONE), 2) == Denial(ONE.name)


async def test_it_counts_among_the_calls_of_its_second(limits):
    await limits.reserve(begun_anew(1, ONE_A_SECOND), 2)

    assert await limits.reserve(call(2, ONE_A_SECOND), 1) == Denial(ONE_A_SECOND.name)


async def test_its_minutes_are_spent_in_advance(limits, clean_redis):
    grant = await limits.reserve(begun_anew(1, TEN_MINUTES), 2)

    assert 0 < grant.talk_s < 600
    assert int(clean_redis.get(counter_key(TEN_MINUTES))) == grant.talk_s * 1000


async def test_it_is_refused_where_no_minutes_are_left(limits, clean_redis):
    clean_redis.set(counter_key(TEN_MINUTES), 600_000)

    assert await limits.reserve(begun_anew(1, TEN_MINUTES), 2) == Denial(TEN_MINUTES.name)


async def test_asking_again_counts_once(limits, clean_redis):
    anew = begun_anew(1, ONE, TEN_MINUTES)
    first = await limits.reserve(anew, 2)

    assert await limits.reserve(anew, 2) == first
    assert clean_redis.zcard(counter_key(ONE)) == 1
    assert int(clean_redis.get(counter_key(TEN_MINUTES))) == first.talk_s * 1000


async def test_its_next_trunk_keeps_the_places_that_it_has(limits, clean_redis):
    grant = await limits.reserve(begun_anew(1, ONE, TEN_MINUTES), 2)
    hunting = begun_anew(1, ONE, TEN_MINUTES, tried=("carrier-a", "carrier-b"))

    again = await limits.reserve(hunting, 3)

    assert again.talk_s == grant.talk_s
    assert clean_redis.zcard(counter_key(ONE)) == 1
    assert int(clean_redis.get(counter_key(TEN_MINUTES))) == grant.talk_s * 1000


async def test_one_that_still_holds_its_places_keeps_them(limits, clean_redis):
    """Only its session was lost: what it holds lies in another Redis."""
    await limits.reserve(call(1, ONE), 1)

    assert await limits.reserve(begun_anew(1, ONE), 2) != Denial(ONE.name)
    assert clean_redis.zcard(counter_key(ONE)) == 1


@pytest.mark.parametrize(("tried", "held"), [(("a",), 0), (("a", "b"), 1)], ids=["before", "after"])
async def test_a_renewal_takes_no_place_for_it_before_it_is_let_in(
    make_limits, clean_redis, tried, held
):
    anew = begun_anew(1, ONE, tried=tried, phase=Phase.RESERVING)
    limits = make_limits(bind(()), calls=Up(anew))

    await limits.keeper.renew()

    assert clean_redis.zcard(counter_key(ONE)) == held
    assert clean_redis.exists(call_key(anew.call_id)) == held


def test_a_caller_who_waits_is_let_in_by_the_attempt_that_follows_the_former_ones():
    world = ringing(rules=(ONE,))
    assert world.session.first_attempt == 1

    world.forget()

    assert (world.session.first_attempt, len(world.session.legs)) == (2, 2)


def test_a_caller_for_whom_no_trunk_has_room_any_more_is_told_so():
    world = ringing(rules=(ONE,))
    full = Skip("carrier-a", Skipped.FULL, "every place of carrier-a is taken")
    world.answers = [Reserved(world.now_ms, (full,))]

    world.forget()
    world.hear_all()

    assert (world.record.disposition, world.record.q850_cause) == ("congestion", 34)
    assert full.reason in world.record.reason
