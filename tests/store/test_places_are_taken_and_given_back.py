"""Calls, calls a second and minutes are counted once, all or nothing, on a real Redis."""

import pytest
import redis.exceptions

from calls.errors import LockLost
from calls.limits.rules import Denial, Grant
from calls.store.counters import REFUSED, WOULD, call_key, counter_key
from calls.store.mailbox import connect
from tests.limits.calls import Up, call, rule, talking

THREE = rule("concurrent", 3)
GRANTED = Grant("carrier-a")


def up(client, of=THREE):
    return client.zcard(counter_key(of))


async def test_calls_up_to_the_limit_get_their_places_and_the_next_is_refused(limits, clean_redis):
    answers = [await limits.reserve(call(number, THREE), 1) for number in range(4)]

    assert answers[:3] == [GRANTED] * 3
    assert answers[3] == Denial(THREE.name)
    assert up(clean_redis) == 3


async def test_a_place_that_is_given_back_is_free_at_once(limits, clean_redis):
    for number in range(3):
        await limits.reserve(call(number, THREE), 1)
    await limits.release("demo:1.0", (THREE,), 0)

    assert await limits.reserve(call(3, THREE), 1) == GRANTED
    assert up(clean_redis) == 3


async def test_everything_is_given_back_and_nothing_but_the_end_is_remembered(limits, clean_redis):
    rules = (THREE, rule("concurrent", 3, "carrier-a", "capacity"), rule("cps", 9))
    await limits.reserve(call(1, *rules), 1)
    await limits.release("demo:1.1", rules, 0)

    assert [up(clean_redis, each) for each in rules[:2]] == [0, 0]
    assert clean_redis.hkeys(call_key("demo:1.1")) == [b"over"]
    assert 0 < clean_redis.pttl(call_key("demo:1.1")) <= 60_000


async def test_a_worker_that_wakes_after_another_has_ended_its_call_takes_nothing(
    limits, clean_redis
):
    """Who took over found a call without limits, as the one before had not saved them yet."""
    rules = (THREE, rule("minutes", 10, window="day"))
    await limits.release("demo:1.1", (), 0)

    with pytest.raises(LockLost):
        await limits.reserve(call(1, *rules), 1)
    assert up(clean_redis) == 0
    assert clean_redis.get(counter_key(rules[1])) is None


async def test_the_same_question_is_answered_the_same_and_charged_once(limits, clean_redis):
    rules = (THREE, rule("cps", 2))
    for _ in range(5):
        assert await limits.reserve(call(1, *rules), 1) == GRANTED

    assert up(clean_redis) == 1
    assert clean_redis.llen(counter_key(rules[1])) == 1


async def test_a_refusal_that_is_repeated_counts_once(limits, clean_redis):
    one = rule("concurrent", 1)
    await limits.reserve(call(1, one), 1)
    for _ in range(3):
        assert await limits.reserve(call(2, one), 1) == Denial(one.name)

    assert clean_redis.hgetall(REFUSED) == {one.stat.encode(): b"1"}


async def test_a_slow_worker_takes_nothing_for_a_call_that_another_has_ended(limits, clean_redis):
    await limits.release("demo:1.1", (THREE,), 0)

    with pytest.raises(LockLost, match="another worker has ended it"):
        await limits.reserve(call(1, THREE), 1)
    assert up(clean_redis) == 0


async def test_a_call_that_one_limit_refuses_takes_nothing_of_the_others(limits, clean_redis):
    full = rule("concurrent", 1, "49", "prefix")
    rules = (THREE, rule("cps", 5), full, rule("concurrent", 9, "carrier-a", "capacity"))
    await limits.reserve(call(0, full), 1)

    assert await limits.reserve(call(1, *rules), 1) == Denial(full.name)
    assert up(clean_redis) == up(clean_redis, rules[3]) == 0
    assert not clean_redis.exists(counter_key(rules[1]))


async def test_a_call_that_no_trunk_has_room_for_takes_nothing(limits, clean_redis):
    full = rule("concurrent", 1, "carrier-a", "capacity")
    await limits.reserve(call(0, full), 1)

    answer = await limits.reserve(call(1, THREE, full), 1)

    assert [(skip.trunk, skip.why) for skip in answer.skipped] == [("carrier-a", "full")]
    assert answer.skipped[0].reason == "trunk carrier-a is full (trunk carrier-a: 1 concurrent)"
    assert up(clean_redis) == 0


async def test_the_first_trunk_with_room_is_taken_and_no_other(limits, clean_redis):
    a, b, c = (rule("concurrent", 1, f"carrier-{each}", "capacity") for each in "abc")
    cps = rule("cps", 1, "carrier-b", "trunk")
    await limits.reserve(call(0, a), 1)
    await limits.reserve(call(1, cps, trunks=["carrier-b"]), 1)

    trunks = ("carrier-a", "carrier-b", "carrier-c", "carrier-d")
    answer = await limits.reserve(call(2, a, b, c, cps, trunks=trunks), 1)

    assert [(skip.trunk, skip.why) for skip in answer.skipped] == [
        ("carrier-a", "full"),
        ("carrier-b", "cps"),
    ]
    assert "calls of this second (trunk carrier-b: 1 call a second)" in answer.skipped[1].reason
    assert [up(clean_redis, each) for each in (a, b, c)] == [1, 0, 1]


async def test_hunting_on_gives_the_old_trunk_back_and_keeps_the_calls_own_place(
    limits, clean_redis
):
    one = rule("concurrent", 1)
    a, b = (rule("concurrent", 1, f"carrier-{each}", "capacity") for each in "ab")
    rules, cps = (one, a, b), rule("cps", 1)
    await limits.reserve(call(1, *rules, cps, trunks=["carrier-a", "carrier-b"]), 1)
    answer = await limits.reserve(
        call(1, *rules, cps, trunks=["carrier-b"], tried=["carrier-a"]), 2
    )

    assert answer == Grant("carrier-b")
    assert [up(clean_redis, each) for each in rules] == [1, 0, 1]
    assert clean_redis.llen(counter_key(cps)) == 1


async def test_a_worker_that_repeats_an_earlier_attempt_takes_nothing_back(limits, clean_redis):
    a, b = (rule("concurrent", 1, f"carrier-{each}", "capacity") for each in "ab")
    await limits.reserve(call(1, a, b, trunks=["carrier-a", "carrier-b"]), 1)
    await limits.reserve(call(1, a, b, trunks=["carrier-b"], tried=["carrier-a"]), 2)
    await limits.reserve(call(1, a, b, trunks=["carrier-a", "carrier-b"]), 1)

    assert [up(clean_redis, each) for each in (a, b)] == [0, 1]


# --- Calls a second -------------------------------------------------------------------------------


async def test_a_second_takes_as_many_calls_as_allowed_even_all_at_once(limits):
    cps = rule("cps", 5)
    answers = [await limits.reserve(call(number, cps), 1) for number in range(6)]

    assert answers == [GRANTED] * 5 + [Denial(cps.name)]


async def test_a_call_that_is_a_second_old_makes_room_and_no_younger_one(limits, clean_redis):
    cps = rule("cps", 2)
    seconds, micros = clean_redis.time()
    now_us = seconds * 1_000_000 + micros
    clean_redis.rpush(counter_key(cps), now_us - 600_000, now_us - 1_000_001)

    assert await limits.reserve(call(1, cps), 1) == GRANTED
    assert await limits.reserve(call(2, cps), 1) == Denial(cps.name)
    assert clean_redis.llen(counter_key(cps)) == 2


async def test_a_quiet_second_leaves_no_counter_behind(limits, clean_redis):
    cps = rule("cps", 2)
    await limits.reserve(call(1, cps), 1)

    assert 0 < clean_redis.pttl(counter_key(cps)) <= 1000


# --- Minutes --------------------------------------------------------------------------------------

FIVE = rule("minutes", 5, window="day", warn_percent=80)
A_DAY = "account demo: 5 minutes a day"


async def test_talk_is_added_and_the_next_call_gets_a_slice_of_what_is_left(limits, clean_redis):
    await limits.reserve(call(1, FIVE), 1)
    await limits.release("demo:1.1", (FIVE,), 170_500)
    assert int(clean_redis.get(counter_key(FIVE))) == 170_500

    assert await limits.reserve(call(2, FIVE), 1) == Grant("carrier-a", (), 20, A_DAY)
    assert int(clean_redis.get(counter_key(FIVE))) == 190_500


async def test_used_up_minutes_refuse(limits):
    await limits.release("demo:1.1", (FIVE,), 300_000)

    assert await limits.reserve(call(2, FIVE), 1) == Denial(A_DAY)


async def test_talk_is_counted_once_however_often_the_end_is_told(limits, clean_redis):
    for _ in range(3):
        await limits.release("demo:1.1", (FIVE,), 60_000)

    assert int(clean_redis.get(counter_key(FIVE))) == 60_000


async def test_the_tighter_of_two_minute_limits_is_shared_out_and_named(limits):
    month = rule("minutes", 1, window="month")
    await limits.release("demo:1.9", (month,), 50_500)
    answer = await limits.reserve(call(1, FIVE, month), 1)

    assert answer == Grant("carrier-a", (), 10, "account demo: 1 minute a month")


async def test_observed_minutes_cap_nothing(limits, clean_redis):
    seen = rule("minutes", 5, window="day", enforce=False)

    assert await limits.reserve(call(1, seen), 1) == GRANTED
    assert not clean_redis.exists(counter_key(seen))


@pytest.mark.parametrize(("window", "label"), [("day", "2025-11-23"), ("month", "2025-11")])
async def test_minutes_are_kept_past_their_window_and_not_for_ever(
    limits, clean_redis, window, label
):
    minutes = rule("minutes", 5, window=window)
    await limits.release("demo:1.1", (minutes,), 1000)

    key = f"ringmaster:limit:minutes:{window}:{label}:account:demo"
    days = clean_redis.ttl(key) / 86_400
    assert (1.9 if window == "day" else 61) < days <= 62


async def test_the_call_that_passes_the_warning_says_so_once(limits, caplog):
    for number, talk_ms in enumerate([230_000, 20_000, 20_000]):
        await limits.release(f"demo:1.{number}", (FIVE,), talk_ms)

    warnings = [each.message for each in caplog.records if "warning" in each.message]
    assert warnings == [
        "The limit account demo: 5 minutes a day has reached its warning: 4.2 minutes of "
        "2025-11-23 are used."
    ]


async def test_a_limit_without_a_warning_never_warns(limits, caplog):
    await limits.release("demo:1.1", (rule("minutes", 5, window="day"),), 600_000)

    assert not caplog.records


# --- Observing ------------------------------------------------------------------------------------


async def test_an_observed_limit_counts_refuses_nobody_and_notes_whom_it_would_have(
    limits, clean_redis
):
    two = rule("concurrent", 2, enforce=False)
    one = rule("cps", 1, enforce=False)
    used = rule("minutes", 1, window="day", enforce=False)
    await limits.release("demo:1.9", (used,), 60_000)
    answers = [await limits.reserve(call(number, two, one, used), 1) for number in range(3)]

    assert answers == [GRANTED] * 3
    assert up(clean_redis, two) == 3
    assert clean_redis.hgetall(WOULD) == {
        two.stat.encode(): b"1",
        one.stat.encode(): b"2",
        used.stat.encode(): b"3",
    }
    assert not clean_redis.exists(REFUSED)


async def test_an_observed_limit_of_a_trunk_skips_it_not(limits, clean_redis):
    one = rule("concurrent", 1, "carrier-a", "trunk", enforce=False)
    answers = [await limits.reserve(call(number, one), 1) for number in range(2)]

    assert answers == [GRANTED] * 2
    assert clean_redis.hgetall(WOULD) == {one.stat.encode(): b"1"}


async def test_a_call_that_another_limit_refuses_is_noted_for_the_observed_one_too(
    limits, clean_redis
):
    seen = rule("concurrent", 1, "49", "prefix", enforce=False)
    one = rule("concurrent", 1)
    await limits.reserve(call(1, one, seen), 1)

    assert await limits.reserve(call(2, seen, one), 1) == Denial(one.name)
    assert clean_redis.hgetall(WOULD) == {seen.stat.encode(): b"1"}
    assert up(clean_redis, seen) == 1


async def test_an_observed_longest_call_counts_the_calls_it_would_have_ended(limits, clean_redis):
    longest = rule("max_duration", 60, enforce=False)
    for number, talk_ms in enumerate([60_000, 60_001]):
        await limits.reserve(call(number, longest), 1)
        await limits.release(f"demo:1.{number}", (longest,), talk_ms)

    assert clean_redis.hgetall(WOULD) == {longest.stat.encode(): b"1"}


# --- Leases ---------------------------------------------------------------------------------------


async def test_what_a_dead_holder_had_lapses_and_is_free(make_limits, clean_redis):
    limits = make_limits(lease_ms=50)
    one = rule("concurrent", 1)
    await limits.reserve(call(1, one), 1)
    assert 0 < clean_redis.pttl(counter_key(one)) <= 50
    clean_redis.zadd(counter_key(one), {"demo:1.1": 1}, xx=True)

    assert await limits.reserve(call(2, one), 1) == GRANTED
    assert clean_redis.zrange(counter_key(one), 0, -1) == [b"demo:1.2"]


@pytest.fixture
def live():
    return Up()


@pytest.fixture
def kept(make_limits, live):
    """The limits of a worker that knows which calls are up."""
    return make_limits(calls=live)


async def test_a_live_call_is_renewed_and_one_that_is_gone_is_not(kept, live, clean_redis):
    for number in (1, 2):
        await kept.reserve(call(number, THREE), 1)
    clean_redis.zadd(counter_key(THREE), {"demo:1.1": 1, "demo:1.2": 1})
    live.calls = {each.call_id: each for each in (talking(1, THREE), talking(9))}

    assert await kept.keeper.renew() == 1
    assert await kept.reserve(call(3, THREE), 1) == GRANTED
    assert set(clean_redis.zrange(counter_key(THREE), 0, -1)) == {b"demo:1.1", b"demo:1.3"}


async def test_a_live_call_whose_lease_had_lapsed_is_counted_again(kept, live, clean_redis):
    a = rule("concurrent", 3, "carrier-a", "capacity")
    await kept.reserve(call(1, THREE, a), 1)
    clean_redis.delete(counter_key(THREE), counter_key(a))
    live.calls = {"demo:1.1": talking(1, THREE, a)}

    await kept.keeper.renew()

    assert [clean_redis.zcard(counter_key(each)) for each in (THREE, a)] == [1, 1]


async def test_a_call_that_has_ended_is_not_renewed(kept, live, clean_redis):
    await kept.reserve(call(1, THREE), 1)
    await kept.release("demo:1.1", (THREE,), 0)
    live.calls = {"demo:1.1": talking(1, THREE)}

    assert await kept.keeper.renew() == 0
    assert clean_redis.zcard(counter_key(THREE)) == 0


async def test_many_calls_are_renewed_in_several_round_trips(kept, live, clean_redis):
    many = rule("concurrent", 1000)
    for number in range(450):
        await kept.reserve(call(number, many), 1)
    clean_redis.delete(counter_key(many))
    live.calls = {f"demo:1.{number}": talking(number, many) for number in range(450)}

    assert await kept.keeper.renew() == 450
    assert clean_redis.zcard(counter_key(many)) == 450
    assert live.looks == []


# --- A limits Redis that is away ------------------------------------------------------------------


async def test_an_end_that_cannot_be_told_is_told_when_redis_is_back(limits, clean_redis, caplog):
    await limits.reserve(call(1, THREE, FIVE), 1)
    there, limits._redis = limits._redis, connect("redis://127.0.0.1:1/0")
    script, limits._release.registered_client = limits._release, limits._redis

    await limits.release("demo:1.1", (THREE, FIVE), 60_000)
    assert up(clean_redis) == 1
    assert "does not take the end of call demo:1.1" in caplog.text
    await limits._redis.aclose()
    limits._redis = script.registered_client = there
    await limits._tell_late()

    assert up(clean_redis) == 0
    assert int(clean_redis.get(counter_key(FIVE))) == 60_000


async def test_asking_at_a_redis_that_is_away_fails_and_takes_nothing(limits):
    limits._reserve.registered_client = connect("redis://127.0.0.1:1/0")

    with pytest.raises(redis.exceptions.RedisError):
        await limits.reserve(call(1, THREE), 1)
