"""All live calls as they lie in Redis, for those who look on and are not on an event loop.

Read from the keys of calls/store/mailbox.py, which documents them; nothing is written.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import redis
from django.conf import settings

from calls.store.impatient import impatient_redis
from calls.store.mailbox import ATTEND
from calls.store.questions import LUA

CHUNK = 200
"""Calls read in one script: about 0.5 ms in which Redis serves nobody else."""
AHEAD = 10
"""Scripts that are asked for at once. Redis reads some three of them before it serves others, and
works on the next ones while we read."""
AWAY = (
    "The live calls cannot be shown: Redis (REDIS_URL) does not answer. Calls that are up go on "
    "talking; they end, and are recorded, once it is back."
)


class Kept(NamedTuple):
    """One live call as Redis keeps it; ``session`` is None while no worker has seen it."""

    call: str
    session: bytes | None
    mail: list[bytes]


class Attended(NamedTuple):
    """A live call, and when somebody must look at it next (ms since the epoch, by the clock of
    Redis): every script that writes its session writes that, too."""

    call: str
    at_ms: float


def live_ids() -> list[str]:
    """The ids of all live calls. Raises redis.RedisError."""
    with impatient_redis(settings.REDIS_URL) as client:
        return _ids(client)


def look() -> list[Kept]:
    """All live calls. Raises redis.RedisError."""
    with impatient_redis(settings.REDIS_URL) as client:
        return list(_kept(client, _ids(client)))


def look_past(known: Callable[[Attended], bool]) -> tuple[list[Attended], list[Kept]]:
    """All live calls, and of those that are not ``known`` as they are, what Redis keeps.

    Raises redis.RedisError.
    """
    with impatient_redis(settings.REDIS_URL) as client:
        found: Any = client.zrange(ATTEND, 0, -1, withscores=True)
        attended = [Attended(call.decode(errors="replace"), at_ms) for call, at_ms in found]
        # Read after the times: what is saved in between is read once more the next time.
        return attended, list(_kept(client, [each.call for each in attended if not known(each)]))


def look_at(calls: Sequence[str]) -> list[Kept]:
    """These calls, whether they are live or not. Raises redis.RedisError."""
    if not calls:
        return []
    with impatient_redis(settings.REDIS_URL) as client:
        return list(_kept(client, calls))


def _ids(client: "redis.Redis") -> list[str]:
    found: Any = client.zrange(ATTEND, 0, -1)
    # A name that is no text is no call's, and is found nowhere.
    return [call.decode(errors="replace") for call in found]


def _kept(client: "redis.Redis", calls: Sequence[str]) -> Iterator[Kept]:
    script = client.register_script((LUA / "overview.lua").read_text())
    chunks = [calls[start : start + CHUNK] for start in range(0, len(calls), CHUNK)]
    for start in range(0, len(chunks), AHEAD):
        some = chunks[start : start + AHEAD]
        with client.pipeline(transaction=False) as pipeline:
            for chunk in some:
                script(args=chunk, client=pipeline)
            replies: list[Any] = pipeline.execute()
        for chunk, seen in zip(some, replies, strict=True):
            yield from map(Kept, chunk, seen[::2], seen[1::2])
