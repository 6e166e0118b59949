"""Refuses callers at the door who were refused too often (calls/store/refusals.py).

What the door costs: a look into a set for each call that enters, one request to Asterisk for each
that is turned away, and one call record a second for all of a subject's, with their count. No
mailbox, no nudge, no worker, no database.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, replace

import redis
from redis.asyncio import Redis

from ari_bridge import metrics
from ari_bridge.quiet import OncePerSecond
from calls import causes, ids
from calls.machine.events import CallEntered, ChannelDestroyed, ChannelEvent, ChannelLeft
from calls.routing.choice import account_keys, source_of
from calls.routing.numbers import NumberingPlan, is_short
from calls.store.refusals import Refusals, subject_of_account, subject_of_source
from cdr import stream
from cdr.record import CallRecord, Disposition, EndedBy

LOOK_S = 0.25
"""Between two looks at who is refused now."""
QUIET_S = 2.0
"""After so long without a caller nobody looks, until the next one comes."""
LINE_S = 1.0
"""Between two call records of those who were turned away."""
BLIND_S = 2.0
"""With Redis away for so long nobody is turned away any more: all wait, as every call does."""
MOST_REMEMBERED = 10_000
"""Channels that were turned away and whose last events are still to come."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Turned:
    """Calls of one subject that were turned away since the last record, the first one standing for
    all."""

    first: CallEntered
    node: str
    count: int
    last_ms: int


class Bouncer:
    """The door of one ARI bridge, for all of its nodes. Lives on the listeners' event loop.

    ``let_through`` are dialled numbers that always get in, in the form of an account's short
    numbers: emergency calls are looked at whoever else tries numbers out.
    """

    def __init__(self, redis: Redis, most: int, let_through: str) -> None:
        self._redis = redis
        self._refusals = Refusals(redis, most)
        self._most = most
        self._plan = NumberingPlan(short_codes=tuple(let_through.split()))
        self._refused: frozenset[str] = frozenset()
        self._turned: dict[str, _Turned] = {}
        self._channels: OrderedDict[str, None] = OrderedDict()
        self._came = asyncio.Event()
        """Set when somebody calls."""
        self._say = OncePerSecond(logger)

    async def run(self) -> None:
        """Look who is refused, and write a record a second for those who were turned away."""
        if not self._most:
            return
        loop = asyncio.get_running_loop()
        seen_s = written_s = came_s = loop.time()
        while True:
            try:
                self._refused = await self._refusals.refused_now()
                seen_s = loop.time()
                if seen_s >= written_s + LINE_S:
                    written_s = seen_s
                    await self.write()
            except redis.RedisError as error:
                self._say.error("The bridge cannot see who is refused too often: %s.", error)
                if loop.time() > seen_s + BLIND_S:
                    self._refused = frozenset()
            await asyncio.sleep(LOOK_S)
            if self._came.is_set() or self._refused or self._turned:
                self._came.clear()
                came_s = loop.time()
            elif loop.time() > came_s + QUIET_S:
                await self._came.wait()

    def turns_away(self, node: str, event: ChannelEvent) -> bool:
        """Whether this event is of a call that is refused at the door; the caller hangs it up."""
        if isinstance(event, CallEntered):
            self._came.set()
            return self._refuses(node, event)
        if not self._channels or event.channel_id not in self._channels:
            return False
        if isinstance(event, ChannelLeft | ChannelDestroyed):
            self._channels.pop(event.channel_id, None)
        return True

    def _refuses(self, node: str, event: CallEntered) -> bool:
        # What was ordered has its mailbox, and waits for this channel.
        if not self._refused or ids.is_ordered(event.channel_id):
            return False
        subjects = (
            subject_of_source(source_of(event.account_code, event.channel_name)),
            *map(subject_of_account, account_keys(event.account_code, event.channel_name)),
        )
        subject = next((each for each in subjects if each in self._refused), None)
        if subject is None or is_short(event.dialled.lstrip("+"), self._plan):
            return False
        known = self._turned.get(subject) or _Turned(event, node, 0, event.at_ms)
        last_ms = max(known.last_ms, event.at_ms)
        self._turned[subject] = replace(known, count=known.count + 1, last_ms=last_ms)
        self._channels[event.channel_id] = None
        metrics.TURNED_AWAY.inc()
        if len(self._channels) > MOST_REMEMBERED:
            self._channels.popitem(last=False)
        return True

    def readmit(self, event: CallEntered) -> None:
        """Asterisk would not hang it up: it goes the way of all calls."""
        self._channels.pop(event.channel_id, None)

    async def write(self) -> None:
        """Write a record for each subject's calls; they are kept when Redis fails (raises)."""
        for subject, turned in list(self._turned.items()):
            record = _record(subject, turned, self._most)
            # For the ledger, as it holds each record against a begin.
            await self._redis.xadd(stream.BEGUN_STREAM, {stream.BEGUN_FIELD: record.call_id})
            await self._redis.xadd(stream.STREAM, {stream.FIELD: record.to_json()})
            logger.warning(
                "%s: %s.", record.call_id, record.reason, extra={"call_id": record.call_id}
            )
            left = self._turned[subject].count - turned.count
            if left:
                self._turned[subject] = replace(self._turned[subject], count=left)
            else:
                del self._turned[subject]


def _record(subject: str, turned: _Turned, most: int) -> CallRecord:
    kind, _, name = subject.partition(":")
    first = turned.first
    return CallRecord(
        call_id=ids.call_id(turned.node, first.channel_id),
        node=turned.node,
        started_ms=first.at_ms,
        ended_ms=max(turned.last_ms, first.at_ms),
        disposition=Disposition.LIMITED,
        ended_by=EndedBy.LIMIT,
        account=name if kind == "account" else first.account_code,
        caller_received=first.caller_number,
        caller_name=first.caller_name,
        callee_received=first.dialled,
        q850_cause=causes.NORMAL_UNSPECIFIED,
        reason=(
            f"{turned.count} call{'s' * (turned.count != 1)} of {kind} {name} refused unlooked at: "
            f"more than {most} in a second had to be refused (REFUSALS_PER_S)"
        ),
        calls=turned.count,
    )
