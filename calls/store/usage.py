"""What is used of limits now and how trunks are, for those who look on: the admin, a terminal.

Read from the counters that refuse (calls/store/counters.py), so what is shown is what is enforced.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

from calls.limits.health import TrunkState, state_of
from calls.limits.rules import Metric, Rule
from calls.store.impatient import impatient_redis
from calls.store.questions import LUA, REFUSED, STATES, WOULD, counter_key

AWAY = (
    "The counters cannot be shown: Redis (LIMITS_REDIS_URL) does not answer. Calls with limits "
    "that are enforced are refused until it does."
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What is used of one limit now.

    ``used`` is in the unit of the limit's value: calls, calls in the last second, or minutes.
    ``refused`` and ``would`` are totals: calls (of a trunk: turns) refused, or that would be.
    """

    used: float = 0
    refused: int = 0
    would: int = 0

    def percent_of(self, rule: Rule) -> float:
        """How much of the limit is used, in percent; may be above 100."""
        return 100 * self.used / rule.value


def usage(rules: Sequence[Rule]) -> list[Usage]:
    """What is used of each, in their order, in one round trip. Raises redis.RedisError."""
    if not rules:
        return []
    stats = [rule.stat for rule in rules]
    with _redis() as client, client.pipeline(transaction=False) as pipeline:
        count = client.register_script((LUA / "usage.lua").read_text())
        keys = [counter_key(rule) for rule in rules]
        count(keys=keys, args=[rule.metric.value for rule in rules], client=pipeline)
        pipeline.hmget(REFUSED, stats)
        pipeline.hmget(WOULD, stats)
        counts, refused, would = pipeline.execute()
    return [
        Usage(
            count / 60_000 if rule.metric is Metric.MINUTES else count,
            total_of(refused_of),
            total_of(would_of),
        )
        for rule, count, refused_of, would_of in zip(rules, counts, refused, would, strict=True)
    ]


def total_of(text: bytes | None) -> int:
    """A total as Redis has it; 0 for what is none."""
    return int(text) if text and text.isdigit() and len(text) < 20 else 0


def trunk_states(names: Iterable[str]) -> dict[str, TrunkState]:
    """What the attempts on these trunks say of them. Raises redis.RedisError."""
    wanted = list(names)
    with _redis() as client:
        texts: Any = client.hmget(STATES, wanted) if wanted else []
    return {name: state_of(text) for name, text in zip(wanted, texts, strict=True)}


def forget_totals(rules: Sequence[Rule]) -> None:
    """Set back what these limits have refused, and would have. Raises redis.RedisError."""
    stats = [rule.stat for rule in rules]
    if stats:
        with _redis() as client:
            client.hdel(REFUSED, *stats)
            client.hdel(WOULD, *stats)


def _redis() -> AbstractContextManager["redis.Redis"]:
    return impatient_redis(settings.LIMITS_REDIS_URL)
