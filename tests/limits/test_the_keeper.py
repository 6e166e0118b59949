"""One worker of a cell renews all its calls, in pieces; what fails ends neither it nor a worker."""

import asyncio

from calls.store.counters import counter_key
from calls.store.keeper import READ_AT_ONCE
from tests.limits.calls import Up, call, rule, talking

MANY = rule("concurrent", 10_000)


async def test_one_of_two_workers_renews(make_limits, clean_redis):
    up = Up(talking(1, MANY))
    first, second = make_limits(calls=up), make_limits(calls=up)
    for _ in range(2):
        await first.keeper.turn()
        await second.keeper.turn()

    assert len(up.looks) == 1


async def test_another_renews_when_the_keeper_is_gone(make_limits, clean_redis):
    up = Up(talking(1, MANY))
    first, second = make_limits(calls=up, lease_ms=300), make_limits(calls=up, lease_ms=300)
    await first.keeper.turn()
    clean_redis.delete(counter_key(MANY))
    await asyncio.sleep(0.06)
    await second.keeper.turn()

    assert clean_redis.zcard(counter_key(MANY)) == 1


async def test_cells_that_share_a_limits_redis_keep_their_own_calls(make_limits, clean_redis):
    one = Up(talking(1, MANY), name="one")
    other = Up(talking(2, MANY), name="other")
    await make_limits(calls=one).keeper.turn()
    await make_limits(calls=other).keeper.turn()

    assert clean_redis.zcard(counter_key(MANY)) == 2


async def test_sessions_are_read_in_pieces(make_limits, clean_redis):
    up = Up(*(talking(number, MANY) for number in range(110)))
    assert await make_limits(calls=up).keeper.renew() == 110

    assert max(up.looks) == READ_AT_ONCE
    assert clean_redis.zcard(counter_key(MANY)) == 110


async def test_a_session_that_cannot_be_read_costs_no_other_call_its_place(
    make_limits, clean_redis, caplog
):
    up = Up(*(talking(number, MANY) for number in range(3)))
    peek = up.peek

    async def stumble(calls):
        if "demo:1.1" in calls:
            raise KeyError("granted_s")
        return await peek(calls)

    up.peek = stumble
    await make_limits(calls=up).keeper.renew()

    assert clean_redis.zcard(counter_key(MANY)) == 2
    assert "Call demo:1.1 cannot be read, its place is not kept." in caplog.text


async def test_a_book_that_cannot_be_read_does_not_end_the_renewal(
    make_limits, clean_redis, monkeypatch, caplog
):
    up = Up(talking(1, MANY))
    limits = make_limits(calls=up, lease_ms=300)

    async def stumble():
        raise ValueError("no such metric")

    monkeypatch.setattr(limits._book, "refresh", stumble)
    running = asyncio.create_task(limits.run())
    for _ in range(50):
        await asyncio.sleep(0.02)
        if clean_redis.zcard(counter_key(MANY)):
            break
    running.cancel()

    assert clean_redis.zcard(counter_key(MANY)) == 1
    assert "The limits could not be read; it is tried again." in caplog.text


async def test_a_worker_starts_although_the_book_cannot_be_read(limits, monkeypatch, caplog):
    async def stumble():
        raise ValueError("no such metric")

    monkeypatch.setattr(limits._book, "refresh", stumble)
    await limits.warm()

    assert "The limits could not be read" in caplog.text


async def test_a_worker_that_has_warmed_up_lets_the_first_call_in_at_once(make_limits, clean_redis):
    up = Up()
    limits = make_limits(calls=up)
    await limits.warm()
    renewed = list(up.looks)
    await limits.reserve(call(1, MANY), 1)

    assert up.looks == renewed
