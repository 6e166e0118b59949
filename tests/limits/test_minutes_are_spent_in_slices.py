"""Minutes are spent in advance, slice by slice, and what was not talked is given back.

So many calls at the same time cannot each talk for all that is left.
"""

from dataclasses import replace

import pytest
from msgspec import structs

from calls.errors import LockLost
from calls.limits.rules import Denial
from calls.limits.slices import LEAST_MS
from calls.store.counters import call_key, counter_key
from tests.limits.calls import Up, call, rule, talking

TEN = rule("minutes", 10, window="day")
BY = "account demo: 10 minutes a day"
TEN_MS = 600_000


def used_ms(client, of=TEN):
    return int(client.get(counter_key(of)) or 0)


async def test_two_hundred_calls_at_once_may_talk_for_the_ten_minutes_and_no_longer(
    limits, clean_redis
):
    answers = [await limits.reserve(call(number, TEN), 1) for number in range(200)]
    granted_s = [answer.talk_s for answer in answers if not isinstance(answer, Denial)]

    assert sum(granted_s) == 600
    assert used_ms(clean_redis) == TEN_MS
    assert (granted_s[0], min(granted_s[:-1])) == (60, LEAST_MS // 1000)
    # Few at a time get long slices; near the end they are short, so that more get one.
    assert len(granted_s) > 15
    assert answers[-1] == Denial(BY)


async def test_all_their_extensions_together_do_not_pass_the_limit_either(limits, clean_redis):
    talks = {}
    for number in range(4):
        answer = await limits.reserve(call(number, TEN), 1)
        talks[number] = answer.talk_s
    for _ in range(20):
        for number, have_s in talks.items():
            talks[number], by = await limits.extend(talking(number, TEN), have_s)
            assert by == BY

    assert sum(talks.values()) == 600
    assert used_ms(clean_redis) == TEN_MS


async def test_what_was_not_talked_is_free_for_others_at_once(limits, clean_redis):
    await limits.reserve(call(1, TEN), 1)
    await limits.extend(talking(1, TEN), 60)
    assert used_ms(clean_redis) > 100_000
    await limits.release("demo:1.1", (TEN,), 70_123)

    assert used_ms(clean_redis) == 70_123


async def test_a_call_that_nobody_answered_spends_nothing(limits, clean_redis):
    await limits.reserve(call(1, TEN), 1)
    await limits.release("demo:1.1", (TEN,), 0)

    assert used_ms(clean_redis) == 0


async def test_a_call_that_hunts_on_keeps_its_slice_and_gets_no_second(limits, clean_redis):
    await limits.reserve(call(1, TEN), 1)
    answer = await limits.reserve(call(1, TEN, trunks=["carrier-b"], tried=["carrier-a"]), 2)

    assert (answer.talk_s, answer.by) == (60, BY)
    assert used_ms(clean_redis) == 60_000


async def test_a_short_call_is_granted_no_more_than_it_may_last(limits, clean_redis):
    answer = await limits.reserve(structs.replace(call(1, TEN), max_call_s=5), 1)

    assert answer.talk_s == 5
    assert used_ms(clean_redis) == 5_000


async def test_the_same_question_spends_once(limits, clean_redis):
    await limits.reserve(call(1, TEN), 1)
    first = await limits.extend(talking(1, TEN), 60)
    spent = used_ms(clean_redis)

    assert await limits.extend(talking(1, TEN), 60) == first
    assert used_ms(clean_redis) == spent


async def test_a_worker_whose_call_another_has_ended_gets_nothing(limits, clean_redis):
    await limits.reserve(call(1, TEN), 1)
    await limits.release("demo:1.1", (TEN,), 30_000)

    with pytest.raises(LockLost):
        await limits.extend(talking(1, TEN), 60)
    assert used_ms(clean_redis) == 30_000


async def test_an_observed_limit_is_shared_out_to_nobody(limits, clean_redis):
    seen = replace(TEN, enforce=False)
    five = rule("minutes", 5, "33", "prefix", window="day")
    await limits.reserve(call(1, seen, five), 1)
    await limits.release("demo:1.1", (seen, five), 20_000)

    assert (used_ms(clean_redis, seen), used_ms(clean_redis, five)) == (20_000, 20_000)


async def test_a_dead_call_has_spent_its_slice_and_no_more(limits, clean_redis):
    """Nobody ever tells its end: Redis forgets the call, and the talk it may have had stays."""
    await limits.reserve(call(1, TEN), 1)
    clean_redis.delete(call_key("demo:1.1"))

    assert used_ms(clean_redis) == 60_000


@pytest.mark.parametrize("granted_s", [60, 180])
async def test_a_redis_that_lost_its_data_learns_what_live_calls_have_spent(
    make_limits, clean_redis, granted_s
):
    limits = make_limits(calls=Up(talking(1, TEN, granted_s=granted_s)))
    await limits.keeper.renew()
    assert used_ms(clean_redis) == granted_s * 1000

    await limits.release("demo:1.1", (TEN,), 50_000)
    assert used_ms(clean_redis) == 50_000


async def test_an_extension_says_it_where_the_keeper_has_not_yet(limits, clean_redis):
    talk_s, _ = await limits.extend(talking(1, TEN), 120)

    assert used_ms(clean_redis) == talk_s * 1000 > 120_000
    await limits.release("demo:1.1", (TEN,), 50_000)
    assert used_ms(clean_redis) == 50_000


async def test_the_warning_comes_with_the_slice_that_reaches_it_and_once(limits, caplog):
    ten = rule("minutes", 10, window="day", warn_percent=10)
    await limits.reserve(call(1, ten), 1)
    await limits.reserve(call(2, ten), 1)
    await limits.release("demo:1.1", (ten,), 60_000)

    assert [each.message for each in caplog.records] == [
        "The limit account demo: 10 minutes a day has reached its warning: 1.0 minutes of "
        "2025-11-23 are used."
    ]
