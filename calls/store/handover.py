"""What processes count, handed over with their heartbeats, and read again by whoever exports it.

Keys (in REDIS_URL); this module alone writes them:

``ringmaster:metrics:<kind>:<host>:<process id>``
    what the process counts, as Prometheus' text, compressed by zlib. It outlives the process by
    `KEPT_MS`, so that what it counted last is still scraped

Each process has series of its own, told apart by the label ``process_id``, and whoever asks
sums them. A sum made here would fall when a process dies, and one kept in Redis when
Redis goes back by a second after a crash; rate() takes either for a beginning from 0 and adds all
that was ever counted. What a process counts only grows while it lives, and is gone with it
(docs/decisions/0027-each-process-counts.md).
"""

import zlib
from collections.abc import Iterable
from typing import Any

import redis
from prometheus_client import REGISTRY, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

HAND_OVER_S = 5.0
"""Between two hand-overs of a process. Prometheus asks every 15 s or more; and 3 kB every second
from each process would be most of what a quiet Redis writes to its disk."""
KEPT_MS = 30_000
PREFIX = "ringmaster:metrics:"


def hand_over(client: "redis.Redis", kind: str, name: str) -> None:
    """Hand over what this process counts. ``name`` is its ``host:pid``. Raises redis.RedisError."""
    client.set(f"{PREFIX}{kind}:{name}", zlib.compress(generate_latest(REGISTRY), 1), px=KEPT_MS)


def handed_over(client: "redis.Redis") -> list[Metric]:
    """What all processes count, each sample with the labels ``process`` (its kind) and
    ``process_id`` (its host and id). Raises redis.RedisError.
    """
    keys = sorted(client.scan_iter(match=f"{PREFIX}*", count=1_000))
    texts: Any = client.mget(keys) if keys else []
    families: dict[str, Metric] = {}
    for key, text in zip(keys, texts, strict=True):
        kind, _, name = key.decode(errors="replace").removeprefix(PREFIX).partition(":")
        if text:
            _add(families, _read(text), {"process": kind, "process_id": name})
    return list(families.values())


def _read(text: bytes) -> Iterable[Metric]:
    """What one process counts; nothing of one that another version hands over otherwise."""
    try:
        return list(text_string_to_metric_families(zlib.decompress(text).decode()))
    except (ValueError, zlib.error):
        return []


def _add(families: dict[str, Metric], found: Iterable[Metric], labels: dict[str, str]) -> None:
    for each in found:
        family = families.get(each.name)
        if family is None:
            family = families[each.name] = Metric(each.name, each.documentation, each.type)
        if family.type == each.type:
            family.samples += [
                Sample(one.name, {**one.labels, **labels}, one.value) for one in each.samples
            ]
