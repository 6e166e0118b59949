"""What the keeper of the limits costs with many calls up, and how long it holds up its loop.

python -m tests.lab.bench.keeper [--calls N]
"""

import argparse
import asyncio
import os
import time
from contextlib import suppress
from importlib import import_module

from tests.lab import services


async def _measure(url: str, count: int) -> None:
    from calls.machine.session import to_json
    from calls.store.counters import Limits, call_key, counter_key
    from calls.store.limit_book import LimitBook
    from calls.store.mailbox import ATTEND, Mailboxes, connect
    from calls.store.mailbox import call_key as hash_key

    made_up = import_module("tests.limits.calls")
    rule, talking = made_up.rule, made_up.talking
    rules = (
        rule("concurrent", 50_000),
        rule("concurrent", 50_000, "carrier-a", "capacity"),
        rule("minutes", 50_000_000, window="month"),
    )
    client = connect(url)
    sessions = [talking(number, *rules, granted_s=60, slice_s=60) for number in range(count)]
    for start in range(0, count, 500):
        pipeline = client.pipeline(transaction=False)
        for session in sessions[start : start + 500]:
            pipeline.hset(hash_key(session.call_id), "session", to_json(session))
            pipeline.zadd(ATTEND, {session.call_id: 9e12})
        await pipeline.execute()
    limits = Limits(connect(url), LimitBook(), Mailboxes(client))
    assert limits.keeper is not None
    for what in ("after Redis forgot everything", "as every ten seconds", "and once more"):
        stalls: list[float] = []
        ticking = asyncio.create_task(_tick(stalls))
        await asyncio.sleep(0.05)
        stalls.clear()
        began, cpu = time.perf_counter(), time.process_time()
        held = await limits.keeper.renew()
        took, used = time.perf_counter() - began, time.process_time() - cpu
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        print(
            f"{held:,} of {count:,} calls renewed {what}: {took:.2f} s, {used:.2f} s CPU, "
            f"longest stall of the loop {max(stalls) * 1000:.1f} ms"
        )
    up = await client.zcard(counter_key(rules[0]))
    held = await client.exists(call_key(sessions[0].call_id))
    print(f"{up:,} calls counted; {held} of 1 remembered")
    await limits._redis.aclose()
    await client.aclose()


async def _tick(stalls: list[float]) -> None:
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        stalls.append(now - last - 0.001)
        last = now


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench.keeper")
    parser.add_argument("--calls", type=int, default=10_000)
    options = parser.parse_args()
    os.environ.setdefault("SECRET_KEY", os.urandom(40).hex())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django
    import uvloop

    django.setup()
    with services.redis_url() as url:
        uvloop.run(_measure(url, options.calls))


if __name__ == "__main__":
    main()
