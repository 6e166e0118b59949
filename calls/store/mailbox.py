"""Where calls live between two turns of a worker: mailbox, session and lock of each call in Redis.

Keys (in REDIS_URL); this module and its scripts in calls/store/lua/ alone write them:

``ringmaster:call:<call id>``   hash of one call
    ``session``  JSON of calls.session.Session
    ``token``    who holds the lock now; every save checks it
    ``until``    when the lock lapses
    ``nudged``   a worker has been told; until it is done no other is
    ``saved``    id of the holder's last save, by which a repeated one is recognised
    ``failed``   how many turns have failed since the last one that did not
    ``failing``  when the first of them failed
    ``over``     the tombstone, alone in the hash for `TOMBSTONE_MS`: what is over stays over
``ringmaster:mail:<call id>``   list of events (calls.events.encode), oldest first
``ringmaster:journal:<call id>`` list of the pages of the call's journal (calls/machine/journal.py),
                                oldest first; they lead to the session that lies beside them
``ringmaster:attend``           zset of all live calls by when somebody must look at them next; the
                                sweeper takes what is due
``ringmaster:order:<hash>``      what was ordered under a key of an orderer's, hashed together; gone
                                after `ORDER_MS`: ``call`` is the call's id, ``digest`` tells the
                                order from any other
``ringmaster:cell``             name of what all workers on this Redis share
``ringmaster:clock``            the time at which a sweeper last looked, by which it sees that the
                                clock of Redis went back

All times are ms since the epoch by the clock of Redis, as its scripts read it: no worker's clock is
compared with another's. Workers say "in so many ms".

Read, not written, here: ``ringmaster:config_version`` (calls/store/config_version.py). The note
of a call that begins, and the record of one that is over, go to the streams of cdr/stream.py in the
same script that begins or ends it, and its journal with the record to that of cdr/trace.py. What
cannot be understood goes aside (calls/store/rejected.py).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.commands.core import AsyncScript

from calls.errors import LockLost, Unreadable
from calls.machine.events import (
    Beginning,
    CallOrdered,
    ChannelLeft,
    MailboxEvent,
    Urgency,
    begins,
    decode,
    encode,
    urgency_of,
)
from calls.machine.journal import MOST_PAGES
from calls.machine.session import Session, from_json, to_json
from calls.store import config_version, outbox, rejected
from calls.store.lean import TOGETHER_S, LeanRedis, patient
from cdr import stream, trace

LOCK_MS = 4_000
"""How long a lock holds without a save. A worker's steps between two saves are bounded below it;
what dies with its holder is free again after it."""
TOMBSTONE_MS = 600_000
"""How long a finished call still drops late events. A dialplan's `h` extension comes in seconds."""
ORDER_MS = 86_400_000
"""How long an order is remembered: ordered again meanwhile it is the same call."""
ATTEND = "ringmaster:attend"
CELL = "ringmaster:cell"
CLOCK = "ringmaster:clock"

_PART = 1_000

News = Sequence[tuple[str, bytes]]
"""Events for webhooks, each with what there is to say of it."""

logger = logging.getLogger(__name__)

_LUA = Path(__file__).parent / "lua"


def connect(url: str) -> LeanRedis:
    """A client for the hot path: short time-outs and few retries, as every step may be repeated."""
    client: Any = LeanRedis.from_url(
        url,
        protocol=2,
        socket_timeout=2,
        socket_connect_timeout=2,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.2), 3),
    )
    return client  # type: ignore[no-any-return]  # which redis-py's types do not tell


@dataclass(frozen=True, slots=True)
class Taken:
    """A call whose lock we hold."""

    session: Session | None
    events: tuple[MailboxEvent, ...]
    config_version: int
    taken_over: bool = False
    """Whether another worker had the lock and did not let it go: it died, or was too slow."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What was ordered under a key. ``nudge``: a worker is still to be told of it; ``begins``: it
    was ordered just now."""

    call: str
    digest: str
    nudge: bool = False
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Failing:
    """How long turns with a call have been failing. ``hopeless``: the call is to be ended now."""

    turns: int
    for_ms: int
    hopeless: bool


@dataclass(frozen=True, slots=True)
class Due:
    """Calls that somebody must look at, each with in how many ms, what time it is at Redis, how
    many calls live in all, and what was read along."""

    calls: tuple[tuple[str, int], ...]
    now_ms: int
    live: int = 0
    read: tuple[bytes | None, ...] = ()


@dataclass(frozen=True, slots=True)
class NudgeQueue:
    """The workers' queue, where it lies in the same Redis as the calls.

    A nudge is then one step with the mail that it is for, and no process in between can lose it.
    """

    key: str
    message: Callable[[str], bytes]
    """The nudge for a call, as the broker's library keeps it in the list at ``key``."""


class Mailboxes:
    """The calls in one Redis. Every method raises redis.RedisError when Redis fails.

    ``queue``: where `post` nudges by itself; without it the caller of `post` does.
    """

    def __init__(self, redis: LeanRedis, queue: NudgeQueue | None = None) -> None:
        self._redis = redis
        self._queue = queue
        # Tells a save from the one before it under the same lock.
        self._saves = count(1)
        self._post = _script(redis, "post")
        self._order = _script(redis, "order")
        self._take = _script(redis, "take")
        self._take_along = patient(_script(redis, "take"), TOGETHER_S)
        self._save = _script(redis, "save")
        self._came = _script(redis, "came")
        self._finish = _script(redis, "finish")
        self._discard = _script(redis, "discard")
        self._fail = _script(redis, "fail")
        self._reject = _script(redis, "reject")
        self._due = _script(redis, "due")
        self._postpone = _script(redis, "postpone")
        self._restore = _script(redis, "restore")
        self._hand_over = _script(redis, "hand_over")

    async def load_scripts(self) -> None:
        """Put the scripts into Redis, so that a pipeline may call them by their hash alone."""
        for script in (self._post, self._take, self._save, self._finish):
            await self._redis.script_load(script.script)

    async def post(self, posts: Sequence[tuple[str, MailboxEvent]]) -> list[str]:
        """Put events into mailboxes, each call's in order; return the calls to nudge a worker for.

        With a queue of our own nobody is left to nudge, and the list is empty.
        The calls' scripts go out in one write. Raises redis.NoScriptError when the scripts have to
        be loaded (again).
        """
        by_call: dict[str, list[MailboxEvent]] = {}
        for call, event in posts:
            by_call.setdefault(call, []).append(event)
        if len(by_call) == 1:
            ((call, events),) = by_call.items()
            return [call] if await self._redis.evalsha(*self._posting(call, events)) else []
        scripts = (("EVALSHA", *self._posting(call, some)) for call, some in by_call.items())
        nudges = await self._redis.together(*scripts)
        return [call for call, nudge in zip(by_call, nudges, strict=True) if nudge]

    def _posting(self, call: str, events: Sequence[MailboxEvent]) -> tuple[Any, ...]:
        """The arguments of EVALSHA that post these events."""
        opens, events = _from_its_beginning(events)
        urgency = urgency_of(events)
        queue = self._queue
        keys = (
            *(call_key(call), mail_key(call), ATTEND, stream.BEGUN_STREAM),
            # Not touched without a nudge; an empty key would be one that no ACL allows.
            queue.key if queue else ATTEND,
        )
        nudge = queue.message(call) if queue and urgency is Urgency.NOW else b""
        texts = (encode(event) for event in events)
        return (self._post.sha, len(keys), *keys, call, int(opens), int(urgency), nudge, *texts)

    async def order(self, call: str, event: CallOrdered, key: str, digest: str) -> Ordered:
        """Begin a call that is ordered under a key, unless one was: gives the one that was first.

        ``digest`` tells the order from any other.
        """
        queue = self._queue
        keys = [_order_key(key), call_key(call), mail_key(call), ATTEND, stream.BEGUN_STREAM]
        keys.append(queue.key if queue else ATTEND)
        nudge = queue.message(call) if queue else b""
        args: list[str | int | bytes] = [call, digest, ORDER_MS, encode(event), nudge]
        first, known, nudges, begins = await self._order(keys=keys, args=args)
        return Ordered(first.decode(), known.decode(), bool(nudges), bool(begins))

    async def ordered(self, key: str) -> Ordered | None:
        """What was ordered under this key."""
        found: Any = await self._redis.hmget(_order_key(key), ["call", "digest"])
        call, digest = found
        return Ordered(call.decode(), digest.decode()) if call and digest else None

    async def take(self, call: str, token: str, along: bool = False) -> Taken | None:
        """Lock the call and read it; None when another has it or nothing waits.

        ``along``: others are taken in the same moment, and all go out in one write.

        Raises Unreadable when the session cannot be understood: the call is locked all the same.
        """
        keys = [call_key(call), mail_key(call), ATTEND, config_version.KEY]
        script = self._take_along if along else self._take
        taken, *rest = await script(keys=keys, args=[call, token, LOCK_MS])
        if not taken:
            return None
        session, events, version, taken_over = rest
        return Taken(
            from_json(session) if session else None,
            await self._readable(call, token, events),
            int(version or 0),
            bool(taken_over),
        )

    async def save(
        self, session: Session, token: str, handled: int, page: bytes = b"", news: News = ()
    ) -> tuple[MailboxEvent, ...]:
        """Save and keep the lock; return the events that came meanwhile. Raises LockLost.

        ``page`` is the page of the journal that leads from the last save to this one, ``news`` what
        webhooks are told of it (calls/store/outbox.py).
        """
        came = await self._save_call(session, token, handled, "", page, news)
        return await self._readable(session.call_id, token, came)

    async def let_go(
        self,
        session: Session,
        token: str,
        handled: int,
        wake_in_ms: int,
        page: bytes = b"",
        news: News = (),
    ) -> tuple[MailboxEvent, ...]:
        """Save and, if no event came meanwhile, give the lock up. Raises LockLost.

        Returns the events that came; when there are any the lock is still ours. Somebody looks at
        the call again in *wake_in_ms*.
        """
        came = await self._save_call(session, token, handled, max(0, wake_in_ms), page, news)
        events = await self._readable(session.call_id, token, came)
        if came and not events:
            return await self.let_go(session, token, 0, wake_in_ms)
        return events

    async def came(self, call: str, token: str, handled: int) -> tuple[MailboxEvent, ...]:
        """The events that came beyond those *handled* since the last save; they stay there.

        None where the lock is not ours any more, which the next save says.
        """
        found = await self._came(keys=[call_key(call), mail_key(call)], args=[token, handled])
        return await self._readable(call, token, found)

    async def _save_call(
        self,
        session: Session,
        token: str,
        handled: int,
        wake_in_ms: int | str,
        page: bytes,
        news: News,
    ) -> list[bytes]:
        call = session.call_id
        keys = [call_key(call), mail_key(call), ATTEND, _journal_key(call), stream.BEGUN_STREAM]
        args: list[str | int | bytes] = [
            call,
            token,
            to_json(session),
            handled,
            LOCK_MS,
            wake_in_ms,
            # Of no other holder's saves, should this one have died.
            f"{token}/{next(self._saves)}",
            page,
            MOST_PAGES,
        ]
        _add_news(keys, args, news)
        kept, *rest = await self._save(keys=keys, args=args)
        if not kept:
            raise LockLost(f"Call {call}: its lock lapsed, another worker goes on with it.")
        came: list[bytes] = rest[0]
        return came

    async def _readable(
        self, call: str, token: str, came: Sequence[bytes]
    ) -> tuple[MailboxEvent, ...]:
        """The events, without those that cannot be understood: these go aside."""
        events, bad = [], []
        for data in came:
            try:
                events.append(decode(data))
            except Unreadable as error:
                bad.append((data, str(error)))
        if bad:
            await self.set_aside(call, token, bad)
        return tuple(events)

    async def set_aside(
        self, call: str, token: str, events: Sequence[tuple[bytes, str]], session: str = ""
    ) -> None:
        """Put these events aside, each with a sentence that says why; the session too, if one says
        why in *session*. Raises LockLost."""
        keys = [call_key(call), mail_key(call), rejected.STREAM, rejected.TOTALS]
        args: list[str | int | bytes] = [call, token, rejected.MOST_KEPT, session]
        for data, why in events:
            args += [data, why]
        for why in (*(why for _, why in events), *([session] if session else [])):
            logger.error("Call %s: something is put aside (%s): %s", call, rejected.STREAM, why)
        if not (await self._reject(keys=keys, args=args))[0]:
            raise LockLost(f"Call {call}: its lock lapsed, another worker goes on with it.")

    async def failed(
        self, call: str, token: str, again_in_ms: int, turns: int, for_ms: int
    ) -> Failing:
        """Note that a turn failed, and let the call go until it is tried again. Raises LockLost.

        Once *turns* turns have failed, over at least *for_ms*, the call is hopeless: its lock is
        then kept, and whoever is told so ends it.
        """
        keys = [call_key(call), mail_key(call), ATTEND]
        args: list[str | int] = [call, token, again_in_ms, turns, for_ms, LOCK_MS]
        what, *rest = await self._fail(keys=keys, args=args)
        if not what:
            raise LockLost(f"Call {call}: its lock lapsed, another worker goes on with it.")
        return Failing(rest[0], rest[1], hopeless=what == 2)

    async def raw(self, call: str) -> tuple[bytes | None, list[bytes]]:
        """A call's session and mailbox as they lie in Redis, not read."""
        session: Any = await self._redis.hget(call_key(call), "session")
        events: Any = await self._redis.lrange(mail_key(call), 0, -1)
        return session, events

    async def finish(
        self,
        call: str,
        token: str,
        record: bytes,
        head: bytes = b"",
        page: bytes = b"",
        news: News = (),
    ) -> None:
        """End the call and hand record and trace over to their writers. Raises LockLost.

        ``head`` is what the trace says of itself (cdr.trace.TraceHead), empty where none is kept;
        ``page`` is the journal's last, ``news`` what webhooks are told of besides the end.
        """
        keys = [call_key(call), mail_key(call), ATTEND, stream.STREAM]
        keys += [_journal_key(call), trace.STREAM, stream.BEGUN_STREAM]
        args: list[str | int | bytes] = [call, token, TOMBSTONE_MS, stream.FIELD, record]
        args += [head, page, trace.MOST_WAITING]
        _add_news(keys, args, news)
        if not (await self._finish(keys=keys, args=args))[0]:
            raise LockLost(f"Call {call}: its lock lapsed, another worker ends it.")

    async def is_known(self, call: str) -> bool:
        """Whether Redis holds the call's session, or its tombstone."""
        session, over = await self._redis.hmget(call_key(call), ["session", "over"])
        return bool(session or over)

    async def restore(self, session: Session) -> None:
        """Put a session back that Redis has lost; one that it knows, or that is over, stays."""
        keys = [call_key(session.call_id), ATTEND, stream.BEGUN_STREAM]
        await self._restore(keys=keys, args=[session.call_id, to_json(session)])

    async def hand_over_again(self, call: str, record: bytes) -> None:
        """Hand a record over once more that Redis may have lost."""
        keys = [call_key(call), stream.STREAM, stream.BEGUN_STREAM]
        await self._hand_over(keys=keys, args=[TOMBSTONE_MS, stream.FIELD, record, call])

    async def discard(self, call: str, token: str) -> None:
        """Forget a call that never began."""
        await self._discard(keys=[call_key(call), mail_key(call), ATTEND], args=[call, token])

    async def due(self, ahead_ms: int, most: int = 500, read: Sequence[str] = ()) -> Due:
        """Live calls that somebody must look at within *ahead_ms*, the longest due first; and what
        the keys *read* hold, for who looks at them as often: most of what a quiet worker does is
        waking up for answers."""
        keys = [ATTEND, CLOCK, *read]
        now_ms, live, held, *found = await self._due(keys=keys, args=[ahead_ms, most])
        calls = zip(found[::2], found[1::2], strict=True)
        return Due(
            tuple((call.decode(errors="replace"), int(in_ms)) for call, in_ms in calls),
            now_ms,
            live,
            tuple(held),
        )

    async def postpone(self, calls: Sequence[str], for_ms: int) -> None:
        """Let the sweeper leave these calls alone for so long; a new event brings them back."""
        await self._postpone(keys=[ATTEND], args=[for_ms, *calls])

    async def cell(self, known: str = "") -> str:
        """The name of this cell; ``known``, what it was before, is put back where it was lost."""
        _, name = await self._redis.together(
            ("SET", CELL, known or uuid4().hex, "NX"), ("GET", CELL)
        )
        return str(name.decode()) if name else known

    async def live(self, node: str | None = None) -> list[str]:
        """The ids of all live calls, or of one node's."""
        found: Any = await self._redis.zrange(ATTEND, 0, -1)
        calls = [call.decode(errors="replace") for call in found]
        return [call for call in calls if node is None or call.startswith(f"{node}:")]

    async def live_in_parts(self, node: str) -> list[str]:
        """The ids of one node's live calls, sorted out with pauses: there may be 10,000."""
        found: Any = await self._redis.zrange(ATTEND, 0, -1)
        prefix, calls = f"{node}:".encode(), []
        for start in range(0, len(found), _PART):
            some = found[start : start + _PART]
            calls += [call.decode(errors="replace") for call in some if call.startswith(prefix)]
            await asyncio.sleep(0)
        return calls

    async def peek(
        self, calls: Sequence[str]
    ) -> dict[str, tuple[Session | None, tuple[MailboxEvent, ...]]]:
        """Sessions and waiting events of these calls, without touching them.

        What cannot be understood is left out, and logged: an event alone, a session with its call.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.hget(call_key(call), "session")
            pipeline.lrange(mail_key(call), 0, -1)
        replies: list[Any] = await pipeline.execute() if calls else []
        seen = {}
        for call, session, came in zip(calls, replies[::2], replies[1::2], strict=True):
            events = []
            for data in came:
                try:
                    events.append(decode(data))
                except Unreadable as error:
                    logger.error(
                        "Call %s is shown without one of its events: %s",
                        call,
                        error,
                        extra={"call_id": call},
                    )
            try:
                seen[call] = (from_json(session) if session else None, tuple(events))
            except Unreadable as error:
                # One that cannot be read must not hide all others.
                logger.error("Call %s cannot be shown: %s", call, error, extra={"call_id": call})
        return seen

    async def are_over(self, calls: Sequence[str]) -> set[str]:
        """Those of the calls that have a tombstone."""
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.hexists(call_key(call), "over")
        replies = await pipeline.execute() if calls else []
        return {call for call, over in zip(calls, replies, strict=True) if over}


def _from_its_beginning(events: Sequence[MailboxEvent]) -> tuple[bool, Sequence[MailboxEvent]]:
    """Whether a call begins with one of these events, and the events in the order to be read.

    Asterisk tells some things of a channel before it tells that it entered Stasis, such as that it
    is up. They are as true behind its entering, where who reads the mailbox hears them. Only that
    the channel had left Stasis stays before: it ends a call that is known, and one that begins has
    entered since.
    """
    for place, event in enumerate(events):
        if isinstance(event, Beginning):
            before = [each for each in events[:place] if isinstance(each, ChannelLeft)]
            behind = [each for each in events[:place] if not isinstance(each, ChannelLeft)]
            return begins(event), (*before, event, *behind, *events[place + 1 :])
    return False, events


def _script(redis: Redis, name: str) -> AsyncScript:
    return redis.register_script((_LUA / f"{name}.lua").read_text())


def _add_news(keys: list[str], args: list[str | int | bytes], news: News) -> None:
    if news:
        keys.append(outbox.OUTBOX)
        args += [outbox.MOST, *(part for each in news for part in each)]


def call_key(call: str) -> str:
    """The key of a call's hash."""
    return f"ringmaster:call:{call}"


def mail_key(call: str) -> str:
    """The key of a call's mailbox."""
    return f"ringmaster:mail:{call}"


def _order_key(key: str) -> str:
    return f"ringmaster:order:{key}"


def _journal_key(call: str) -> str:
    return f"ringmaster:journal:{call}"
