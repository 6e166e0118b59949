"""Redis' clock goes back (NTP, another host takes over): the future counts as lapsed."""

import pytest

from calls.limits import health
from calls.limits.rules import Denial
from calls.store.counters import STATES, call_key, counter_key, trial_key
from calls.store.usage import usage
from tests.limits.calls import call, rule

HOUR_S = 3600


def now_us(client) -> int:
    seconds, micros = client.time()
    return seconds * 1_000_000 + micros


async def test_calls_of_the_future_fill_no_second(limits, clean_redis):
    cps = rule("cps", 2)
    future_us = now_us(clean_redis) + HOUR_S * 1_000_000
    clean_redis.rpush(counter_key(cps), future_us, future_us)

    answers = [await limits.reserve(call(number, cps), 1) for number in range(3)]

    assert [isinstance(answer, Denial) for answer in answers] == [False, False, True]


async def test_calls_of_the_future_are_not_shown_as_used(clean_redis):
    cps = rule("cps", 2)
    clean_redis.rpush(counter_key(cps), now_us(clean_redis), now_us(clean_redis) + 30_000_000)

    assert [each.used for each in usage([cps])] == [1]


async def test_a_place_is_held_for_one_lease_at_most_however_far_its_clock_was_ahead(
    make_limits, clean_redis
):
    limits = make_limits(lease_ms=500)
    one = rule("concurrent", 1)
    ahead_ms = now_us(clean_redis) // 1000 + HOUR_S * 1000
    clean_redis.zadd(counter_key(one), {"demo:dead": ahead_ms})

    # It may be alive and about to be renewed: it is neither thrown out nor believed for an hour.
    assert await limits.reserve(call(1, one), 1) == Denial(one.name)
    lapses_ms = clean_redis.zscore(counter_key(one), "demo:dead")
    assert lapses_ms <= now_us(clean_redis) // 1000 + 500


async def test_a_trunk_that_is_down_gets_its_trial_although_the_last_was_in_the_future(
    limits, clean_redis
):
    clean_redis.hset(STATES, "carrier-a", "down 1 10 10")
    clean_redis.set(trial_key("carrier-a"), now_us(clean_redis) // 1000 + HOUR_S * 1000)

    answer = await limits.reserve(call(1), 1)

    assert answer.skipped == ()


@pytest.mark.parametrize(("ahead", "down"), [(0, True), (100, False)])
async def test_attempts_of_the_future_judge_no_trunk(limits, clean_redis, ahead, down):
    bucket = now_us(clean_redis) // 1000 // health.BUCKET_MS + ahead
    clean_redis.hset("ringmaster:trunk:window:carrier-a", f"{bucket}:bad", 10)
    limits.proofs.note("carrier-a", works=False)

    await limits.flush()

    assert (limits.proofs.down == ("carrier-a",)) is down
    assert not clean_redis.exists(call_key("demo:1.1"))
