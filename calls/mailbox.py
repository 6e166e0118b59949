"""Where calls live between two turns of a worker: mailbox, session and lock of each call in Redis.

Keys (in REDIS_URL); this module and its scripts in calls/lua/ alone write them:

``ringmaster:call:<call id>``   hash of one call
    ``session``  JSON of calls.session.Session
    ``token``    who holds the lock now; every save checks it
    ``until``    ms since the epoch when the lock lapses
    ``nudged``   a worker has been told; until it is done no other is
    ``saved``    id of the holder's last save, by which a repeated one is recognised
    ``over``     the tombstone, alone in the hash for `TOMBSTONE_MS`: what is over stays over
``ringmaster:mail:<call id>``   list of events (calls.events.encode), oldest first
``ringmaster:attend``           zset of all live calls by when somebody must look at them next, in
                                ms since the epoch; the sweeper takes what is due

Read, not written, here: ``ringmaster:config_version`` (calls/config_version.py). The record of a
call that is over goes to the stream of cdr/stream.py in the same script that ends it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import AsyncScript

from calls import config_version, ids
from calls.errors import CallError, LockLost
from calls.events import CallEntered, MailboxEvent, decode, encode
from calls.session import Session, from_json, to_json
from cdr import stream

LOCK_MS = 4_000
"""How long a lock holds without a save. A worker's steps between two saves are bounded below it;
what dies with its holder is free again after it."""
TOMBSTONE_MS = 600_000
"""How long a finished call still drops late events. A dialplan's `h` extension comes in seconds."""
ATTEND = "ringmaster:attend"

logger = logging.getLogger(__name__)

_LUA = Path(__file__).parent / "lua"


def connect(url: str) -> Redis:
    """A client for the hot path: short time-outs and few retries, as every step may be repeated."""
    return Redis.from_url(
        url,
        socket_timeout=2,
        socket_connect_timeout=2,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), 3),
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """A call whose lock we hold."""

    session: Session | None
    events: tuple[MailboxEvent, ...]
    config_version: int


class Mailboxes:
    """The calls in one Redis. Every method raises redis.RedisError when Redis fails."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        # Tells a save from the one before it under the same lock.
        self._saves = count(1)
        self._post = _script(redis, "post")
        self._take = _script(redis, "take")
        self._save = _script(redis, "save")
        self._finish = _script(redis, "finish")
        self._discard = _script(redis, "discard")

    async def load_scripts(self) -> None:
        """Put the scripts into Redis, so that a pipeline may call them by their hash alone."""
        for script in (self._post, self._take, self._save, self._finish):
            await self._redis.script_load(script.script)

    async def post(self, posts: Sequence[tuple[str, MailboxEvent]]) -> list[str]:
        """Put events into mailboxes, each call's in order; return the calls to nudge a worker for.

        One round trip, whatever the number of events. Raises redis.NoScriptError when the scripts
        have to be loaded (again).
        """
        by_call: dict[str, list[MailboxEvent]] = {}
        for call, event in posts:
            by_call.setdefault(call, []).append(event)
        if len(by_call) == 1:
            ((call, events),) = by_call.items()
            return [call] if await self._redis.evalsha(*self._posting(call, events)) else []
        pipeline = self._redis.pipeline(transaction=False)
        for call, events in by_call.items():
            pipeline.evalsha(*self._posting(call, events))
        nudges = await pipeline.execute()
        return [call for call, nudge in zip(by_call, nudges, strict=True) if nudge]

    def _posting(self, call: str, events: Sequence[MailboxEvent]) -> tuple[Any, ...]:
        """The arguments of EVALSHA that post these events."""
        opens = isinstance(events[0], CallEntered)
        urgency = max(event.urgency for event in events)
        keys = (_call_key(call), _mail_key(call), ATTEND)
        texts = (encode(event) for event in events)
        return (self._post.sha, 3, *keys, call, int(opens), int(urgency), *texts)

    async def take(self, call: str, token: str) -> Taken | None:
        """Lock the call and read it; None when another has it or nothing waits.

        Raises CallError when the mailbox holds something that is no event.
        """
        keys = [_call_key(call), _mail_key(call), ATTEND, config_version.KEY]
        taken, *rest = await self._take(keys=keys, args=[call, token, LOCK_MS])
        if not taken:
            return None
        session, events, version = rest
        return Taken(
            from_json(session) if session else None,
            tuple(decode(event) for event in events),
            int(version or 0),
        )

    async def save(self, session: Session, token: str, handled: int) -> tuple[MailboxEvent, ...]:
        """Save and keep the lock; return the events that came meanwhile. Raises LockLost."""
        return await self._save_call(session, token, handled, "")

    async def release(self, session: Session, token: str, handled: int) -> tuple[MailboxEvent, ...]:
        """Save and, if no event came meanwhile, give the lock up. Raises LockLost.

        Returns the events that came; when there are any the lock is still ours.
        """
        return await self._save_call(session, token, handled, session.wake_ms)

    async def _save_call(
        self, session: Session, token: str, handled: int, wake: int | str
    ) -> tuple[MailboxEvent, ...]:
        call = session.call_id
        keys = [_call_key(call), _mail_key(call), ATTEND]
        args: list[str | int | bytes] = [
            call,
            token,
            to_json(session),
            handled,
            LOCK_MS,
            wake,
            next(self._saves),
        ]
        kept, *rest = await self._save(keys=keys, args=args)
        if not kept:
            raise LockLost(f"Call {call}: its lock lapsed, another worker goes on with it.")
        return tuple(decode(event) for event in rest[0])

    async def finish(self, call: str, token: str, record: bytes) -> None:
        """End the call and hand its record over to the CDR writer. Raises LockLost."""
        keys = [_call_key(call), _mail_key(call), ATTEND, stream.STREAM]
        args: list[str | int | bytes] = [call, token, TOMBSTONE_MS, stream.FIELD, record]
        if not (await self._finish(keys=keys, args=args))[0]:
            raise LockLost(f"Call {call}: its lock lapsed, another worker ends it.")

    async def discard(self, call: str, token: str) -> None:
        """Forget a call that never began."""
        await self._discard(keys=[_call_key(call), _mail_key(call), ATTEND], args=[call, token])

    async def due(self, until_ms: int, most: int = 500) -> list[tuple[str, int]]:
        """Live calls that somebody must look at until then, with their times, earliest first."""
        found: Any = await self._redis.zrangebyscore(
            ATTEND, "-inf", until_ms, start=0, num=most, withscores=True
        )
        return [(call.decode(), int(at_ms)) for call, at_ms in found]

    async def postpone(self, call: str, until_ms: int) -> None:
        """Let the sweeper leave the call alone until then."""
        await self._redis.zadd(ATTEND, {call: until_ms}, xx=True)

    async def live(self, node: str | None = None) -> list[str]:
        """The ids of all live calls, or of one node's."""
        found: Any = await self._redis.zrange(ATTEND, 0, -1)
        calls = [call.decode() for call in found]
        return [call for call in calls if node is None or ids.split_call_id(call)[0] == node]

    async def peek(
        self, calls: Sequence[str]
    ) -> dict[str, tuple[Session | None, tuple[MailboxEvent, ...]]]:
        """Sessions and waiting events of these calls, without touching them.

        A call whose mailbox cannot be read is left out, and logged.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.hget(_call_key(call), "session")
            pipeline.lrange(_mail_key(call), 0, -1)
        replies: list[Any] = await pipeline.execute() if calls else []
        seen = {}
        for call, session, events in zip(calls, replies[::2], replies[1::2], strict=True):
            try:
                waiting = tuple(decode(event) for event in events)
            except CallError:
                # One that cannot be read must not hide all others; its next turn says so too.
                logger.exception("Call %s cannot be shown.", call)
                continue
            seen[call] = (from_json(session) if session else None, waiting)
        return seen

    async def are_over(self, calls: Sequence[str]) -> set[str]:
        """Those of the calls that have a tombstone."""
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.hexists(_call_key(call), "over")
        replies = await pipeline.execute() if calls else []
        return {call for call, over in zip(calls, replies, strict=True) if over}


def _script(redis: Redis, name: str) -> AsyncScript:
    return redis.register_script((_LUA / f"{name}.lua").read_text())


def _call_key(call: str) -> str:
    return f"ringmaster:call:{call}"


def _mail_key(call: str) -> str:
    return f"ringmaster:mail:{call}"
