"""How the switch does right now, from Redis alone: for those who watch.

Every key read here is documented, and written, by the module that its name is imported from.
"""

import time
from dataclasses import dataclass
from math import isfinite
from typing import Any

import redis
from django.conf import settings

from calls.store import ledger_light
from calls.store.heartbeats import Process, processes
from calls.store.impatient import impatient_redis
from calls.store.ledger_light import Light
from calls.store.mailbox import ATTEND
from cdr import recent
from cdr.stream import REJECTED_STREAM, STREAM

NOW_S = 300
"""What is called "now": long enough for a quiet switch to show a rate."""
HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Pulse:
    """What Redis says. Spans are milliseconds."""

    up: int
    """Calls that are live."""
    overdue_ms: int
    """For how long the call that waits longest should have been attended to; 0: none waits."""
    records: int
    """Call records that wait for the database."""
    lag_ms: int
    """Age of the oldest of them."""
    rejected: int
    """Records that could not be written and wait for somebody to look at them."""
    processes: tuple[Process, ...]
    now: recent.Recent
    hour: recent.Recent
    light: Light | None = None
    """What the last check of the ledger found."""


def pulse() -> Pulse:
    """Feel it. Raises redis.RedisError."""
    with impatient_redis(settings.REDIS_URL) as client:
        with client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.zcard(ATTEND)
            pipeline.zrange(ATTEND, 0, 0, withscores=True)
            pipeline.xlen(STREAM)
            pipeline.xrange(STREAM, count=1)
            pipeline.xlen(REJECTED_STREAM)
            replies: list[Any] = pipeline.execute()
        now, up, first, records, oldest, rejected = replies
        now_ms = clock_ms(now)
        return Pulse(
            up=up,
            overdue_ms=_overdue_ms(now_ms, first[0][1]) if first else 0,
            records=records,
            lag_ms=max(0, now_ms - int(oldest[0][0].partition(b"-")[0])) if oldest else 0,
            rejected=rejected,
            processes=tuple(processes(client)),
            now=recent.look(client, NOW_S),
            hour=recent.look(client, HOUR_S - recent.SLOT_S),
            light=ledger_light.read(client),
        )


def clock_ms(told: tuple[int, int]) -> int:
    """What Redis says to TIME, in milliseconds since the epoch. By its clock it was written what is
    due and what came when: ours may be another one."""
    seconds, microseconds = told
    return seconds * 1_000 + microseconds // 1_000


def clock_offset_s(client: "redis.Redis") -> float:
    """How far its clock is ahead of ours, as of the middle of the question; off by half of what the
    answer took at most. Of a client that is connected, or connecting would be among that. Raises
    redis.RedisError."""
    asked_s = time.time()
    told: Any = client.time()
    return clock_ms(told) / 1000 - (asked_s + time.time()) / 2


def _overdue_ms(now_ms: int, due_ms: float) -> int:
    """For how long the call has waited; one that is due at no time at all waits since the epoch."""
    return max(0, now_ms - int(due_ms)) if isfinite(due_ms) else now_ms if due_ms < 0 else 0
