"""What became of the calls of the last minutes, for those who watch.

Keys (in REDIS_URL); this module alone writes them, for cdr.writer:

``ringmaster:cdrs:recent:<slot>``
    Hash of a slot of `SLOT_S` seconds since the epoch: ``begun`` calls that began in it, and of
    those that ended in it ``attempts``, ``seizures``, ``answered``, ``effective``, ``talk_ms``,
    ``pdd_ms`` (sum) and ``pdd_count``. Lapses after `KEPT_S`

A show, not an account: a writer that dies between its commit and this loses the one batch here.
The hourly sums (cdr.rollup) are exact.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis

from cdr.rates import sums_of
from cdr.record import CallRecord

SLOT_S = 10
KEPT_S = 3_600
PREFIX = "ringmaster:cdrs:recent:"


@dataclass(frozen=True, slots=True)
class Recent:
    """What was counted in the last ``seconds``; of calls that ended, but for those that began."""

    seconds: int
    begun: int = 0
    attempts: int = 0
    seizures: int = 0
    answered: int = 0
    effective: int = 0
    talk_ms: int = 0
    pdd_ms: int = 0
    pdd_count: int = 0

    @property
    def cps(self) -> float:
        """Calls that began a second."""
        return self.begun / self.seconds


def note(
    client: "redis.Redis", records: Iterable[CallRecord] = (), begun_ms: Iterable[int] = ()
) -> None:
    """Count calls that are over, and beginnings (ms since the epoch). Raises redis.RedisError."""
    slots: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for at_ms in begun_ms:
        slots[_slot(at_ms / 1000)]["begun"] += 1
    for record in records:
        slot, sums = slots[_slot(record.ended_ms / 1000)], sums_of(record)
        for name in ("attempts", "seizures", "answered", "effective", "talk_ms"):
            slot[name] += getattr(sums, name)
        if record.pdd_ms is not None:
            slot["pdd_ms"] += record.pdd_ms
            slot["pdd_count"] += 1
    if not slots:
        return
    with client.pipeline(transaction=False) as pipeline:
        for slot_number, counts in slots.items():
            for name, count in counts.items():
                if count:
                    pipeline.hincrby(f"{PREFIX}{slot_number}", name, count)
            pipeline.expire(f"{PREFIX}{slot_number}", KEPT_S)
        pipeline.execute()


def look(client: "redis.Redis", seconds: int) -> Recent:
    """What was counted in the last whole slots, ``seconds`` of them. Raises redis.RedisError."""
    last = _slot(time.time())
    with client.pipeline(transaction=False) as pipeline:
        for slot in range(last - seconds // SLOT_S, last):
            pipeline.hgetall(f"{PREFIX}{slot}")
        found: list[Any] = pipeline.execute()
    counted: dict[str, int] = defaultdict(int)
    for counts in found:
        for name, count in counts.items():
            if count.isdigit() and len(count) < 20:
                counted[name.decode(errors="replace")] += int(count)
    known = {name: counted[name] for name in Recent.__slots__ if name != "seconds"}
    return Recent(seconds, **known)


def _slot(at_s: float) -> int:
    return int(at_s // SLOT_S)
