"""What is drained, as workers read it, and the workers that are drained themselves.

The switch, nodes and trunks are rows of `calls.models.Drain`: they outlive a Redis that forgets,
and workers read them with the limits, once for each change (calls/store/limit_book.py), so that no
call asks for them.

A worker that is drained is one process, so it is no row. Keys (in REDIS_URL); this module alone
writes them:

``ringmaster:drain:worker:<host>:<process id>``
    JSON: ``by`` who drains that `calls` worker, ``why``, ``since_ms`` since the epoch. The worker
    looks with each sweep. Gone after `KEPT_S`, as a process is named by a number that comes again
"""

from dataclasses import asdict, dataclass
from typing import Any

import orjson
from django.conf import settings

from calls.limits.draining import Drained
from calls.models import Drain
from calls.store.impatient import impatient_redis

KEPT_S = 7 * 86_400
PREFIX = "ringmaster:drain:worker:"


@dataclass(frozen=True, slots=True)
class WorkerDrain:
    """A `calls` worker that is to take no new turns."""

    by: str
    why: str
    since_ms: int


def read_drained() -> Drained:
    """What is drained now, workers apart. Raises django.db.Error."""
    rows = Drain.objects.values_list("kind", "node", "trunk__name", "why")
    switch, nodes, trunks = None, {}, set()
    for kind, node, trunk, why in rows:
        if kind == Drain.Kind.SWITCH:
            switch = why
        elif kind == Drain.Kind.NODE:
            nodes[node] = why
        elif trunk is not None:
            trunks.add(trunk)
    return Drained(switch, nodes, frozenset(trunks))


def drain_worker(name: str, drain: WorkerDrain) -> None:
    """Ask the worker ``host:pid`` to take no new turns. Raises redis.RedisError."""
    with impatient_redis(settings.REDIS_URL) as client:
        client.set(drain_key(name), orjson.dumps(asdict(drain)), ex=KEPT_S)


def end_drain_of_worker(name: str) -> bool:
    """Let it take turns again; whether it was drained. Raises redis.RedisError."""
    with impatient_redis(settings.REDIS_URL) as client:
        return bool(client.delete(drain_key(name)))


def drain_key(name: str) -> str:
    """The key that is there while the worker ``host:pid`` is to take no new turns."""
    return PREFIX + name


def drained_workers(names: list[str]) -> dict[str, WorkerDrain]:
    """Those of these workers that are drained. Raises redis.RedisError."""
    if not names:
        return {}
    with impatient_redis(settings.REDIS_URL) as client:
        texts: Any = client.mget(list(map(drain_key, names)))
    found = {}
    for name, text in zip(names, texts, strict=True):
        if text:
            found[name] = _drain(text)
    return found


def _drain(text: bytes) -> WorkerDrain:
    """As it was asked for; it holds too where that cannot be read."""
    try:
        plain = orjson.loads(text)
        return WorkerDrain(
            str(plain.get("by", "")), str(plain.get("why", "")), int(plain.get("since_ms", 0))
        )
    except (ValueError, TypeError, AttributeError):
        return WorkerDrain("", "", 0)
