"""A limits Redis that lost its data, or was away for longer than a lease: who is up still counts.

Places are taken again from the sessions' own rules before anybody else is let in.
"""

import asyncio

import pytest

from calls.limits.rules import Denial, bind
from calls.machine.session import Phase
from calls.store.counters import call_key, counter_key
from tests.limits.calls import Up, call, rule, talking

FIVE = rule("concurrent", 5)
OF_TRUNK = rule("concurrent", 9, "carrier-a", "capacity")


@pytest.fixture
def up():
    return Up(*(talking(number, FIVE, OF_TRUNK) for number in range(5)))


@pytest.fixture
async def five(make_limits, up):
    """A worker's limits, while five of five calls are up."""
    limits = make_limits(bind(()), calls=up)
    for number in range(5):
        await limits.reserve(call(number, FIVE, OF_TRUNK), 1)
    return limits


async def test_a_redis_that_lost_its_data_admits_nobody_past_the_limit(five, clean_redis):
    clean_redis.flushdb()

    assert await five.reserve(call(9, FIVE, OF_TRUNK), 1) == Denial(FIVE.name)
    assert clean_redis.zcard(counter_key(FIVE)) == 5
    assert clean_redis.zcard(counter_key(OF_TRUNK)) == 5


async def test_an_outage_longer_than_the_lease_admits_nobody_past_the_limit(
    make_limits, clean_redis, up
):
    limits = make_limits(bind(()), calls=up, lease_ms=300)
    for number in range(5):
        await limits.reserve(call(number, FIVE), 1)
    await asyncio.sleep(0.35)

    assert await limits.reserve(call(9, FIVE), 1) == Denial(FIVE.name)


async def test_a_worker_that_starts_after_everybody_was_away_lets_nobody_in_first(
    make_limits, clean_redis, up
):
    limits = make_limits(bind(()), calls=up)

    assert await limits.reserve(call(9, FIVE), 1) == Denial(FIVE.name)


async def test_a_renewal_takes_again_what_redis_lost_of_one_call(five, clean_redis):
    """Redis went back by a second: a promoted replica, a power loss with everysec."""
    clean_redis.delete(call_key("demo:1.3"))
    clean_redis.zrem(counter_key(FIVE), "demo:1.3")

    await five.keeper.renew()

    assert clean_redis.zcard(counter_key(FIVE)) == 5
    await five.release("demo:1.3", (FIVE, OF_TRUNK), 0)
    assert clean_redis.zcard(counter_key(FIVE)) == clean_redis.zcard(counter_key(OF_TRUNK)) == 4


async def test_a_call_that_has_given_its_places_back_takes_none_again(five, clean_redis):
    await five.release("demo:1.3", (FIVE, OF_TRUNK), 0)
    await five.keeper.renew()

    assert clean_redis.zcard(counter_key(FIVE)) == 4


@pytest.mark.parametrize("phase", [Phase.ROUTING, Phase.RESERVING, Phase.ENDING])
async def test_a_call_that_holds_no_place_yet_or_no_more_takes_none(
    make_limits, clean_redis, phase
):
    legs = () if phase is not Phase.ENDING else talking(1).legs
    limits = make_limits(bind(()), calls=Up(talking(1, FIVE, phase=phase, legs=legs)))
    await limits.keeper.renew()

    assert not clean_redis.exists(counter_key(FIVE))


async def test_a_call_takes_no_place_on_a_trunk_that_it_has_left(make_limits, clean_redis):
    other = rule("concurrent", 9, "carrier-b", "capacity")
    limits = make_limits(bind(()), calls=Up(talking(1, FIVE, OF_TRUNK, other, trunk="carrier-b")))
    await limits.keeper.renew()

    counters = [clean_redis.zcard(counter_key(each)) for each in (FIVE, OF_TRUNK, other)]
    assert counters == [1, 0, 1]


async def test_a_call_without_limits_is_looked_at_once(make_limits, clean_redis):
    up = Up(talking(1), talking(2, FIVE))
    limits = make_limits(bind(()), calls=up)
    for _ in range(3):
        await limits.keeper.renew()

    assert sum(up.looks) == 2


async def test_a_limit_that_is_only_observed_waits_for_nobody(make_limits, clean_redis, up):
    limits = make_limits(bind(()), calls=up)
    await limits.reserve(call(9, rule("concurrent", 5, enforce=False)), 1)

    assert up.looks == []
