"""From the listener's hands into the mailboxes: events in order, together, never lost to Redis.

The listener only appends. The events of one call that belong together follow each other within
milliseconds, and one script posts them for the price of one event: so each waits for company, for
as long as its kind allows, and goes at once when something must be done. What nobody waits for goes
along with what is due. One task posts it all, in one round trip, and hands the calls that need a
worker to the nudger. While Redis is away events wait here in order.
"""

import asyncio
import logging

import redis

from ari_bridge.quiet import OncePerSecond
from calls import ids
from calls.engine.nudges import Nudger
from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelEnd,
    ChannelLeft,
    HangupRequested,
    MailboxEvent,
    Urgency,
)
from calls.store.mailbox import Mailboxes

MOST_EVENTS = 256
"""Events in one round trip to Redis."""
GATHER_S = 0.05
"""How long an event that asks for no action may wait to be posted."""
COMPANY_S = 0.005
"""After so long without another event of its call it goes along with whatever is due: what belongs
together follows within 1 to 3 ms."""
ENDED_S = 0.03
"""How long the last signs of an end that we asked for may wait for something to go along with; a
worker lingers for them a little longer (LINGER_S in calls/engine/turn.py)."""
END_S = 0.004
"""The same for the first signs of a channel's end: StasisEnd follows the hangup and
ChannelDestroyed the StasisEnd within 1 to 3 ms."""
ANSWER_S = 0.02
"""The same for B's answer: Asterisk answers A by itself within 1 to 5 ms. A worker that hears of
both at once need not answer A."""
ALMOST_S = 0.001
"""What is due so soon goes along."""
MOST_WAITING = 200_000
"""Events that may wait for Redis, about 100 MB; past it the oldest are dropped and reconciliation
finds what they would have said."""

logger = logging.getLogger(__name__)


class Poster:
    """Posts events of all nodes. Lives on the listener's event loop."""

    def __init__(self, mailboxes: Mailboxes, nudger: Nudger) -> None:
        self._mailboxes = mailboxes
        self._nudger = nudger
        self._waiting: dict[str, list[MailboxEvent]] = {}
        """By call, the one that has waited longest first."""
        self._due_s: dict[str, float] = {}
        """When the events of each call are to be posted, by the loop's clock."""
        self._may_s: dict[str, float] = {}
        """From when on they may go along with what is due."""
        self._count = 0
        """How many events wait to be taken up."""
        self._in_hand = 0
        """How many were taken up and are not posted yet."""
        self._wanted: list[asyncio.Event] = []
        """Who waits until all that waits now is posted."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Kept: asking which one runs took a twentieth of what the whole bridge does."""
        self._timer: asyncio.Handle | None = None
        self._wakes_s = float("inf")
        """When the timer wakes, by the loop's clock; uvloop's handles do not always tell."""
        self._stirred = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._say = OncePerSecond(logger)

    @property
    def waiting(self) -> int:
        """How many events wait for Redis."""
        return self._count + self._in_hand

    def add(self, call: str, event: MailboxEvent) -> None:
        """Post the event soon; returns at once."""
        if self._count >= MOST_WAITING:
            self._say.error("Redis is away for too long: the oldest waiting events are dropped.")
            self._drop_oldest()
        self._idle.clear()
        self._count += 1
        waiting = self._waiting.setdefault(call, [])
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        now_s = loop.time()
        company_s, patience_s = _patience_s(event, waiting)
        due_s = now_s + patience_s
        self._may_s[call] = now_s + company_s
        waiting.append(event)
        if due_s < self._due_s.get(call, float("inf")):
            self._due_s[call] = due_s
            self._wake_at(loop, due_s)

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything is posted; says how much is left if that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.posted()
                await self._idle.wait()
        except TimeoutError:
            logger.error("%d events could not be posted before the end.", self.waiting)

    async def posted(self) -> None:
        """Wait until all that has been added until now is posted, however long that takes."""
        if not self._idle.is_set():
            posted = asyncio.Event()
            self._wanted.append(posted)
            self._stirred.set()
            await posted.wait()

    async def run(self) -> None:
        """Post for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            wanted, self._wanted = self._wanted, []
            due = self._take_due(float("inf") if wanted else loop.time() + ALMOST_S)
            for start in range(0, len(due), MOST_EVENTS):
                self._in_hand = len(due) - start
                await self._post(due[start : start + MOST_EVENTS])
            self._in_hand = 0
            for posted in wanted:
                posted.set()
            if self._due_s:
                self._wake_at(loop, min(self._due_s.values()))
            else:
                self._idle.set()

    def _take_due(self, until_s: float) -> list[tuple[str, MailboxEvent]]:
        """What is due by then; where anything is, what may go along with it too."""
        due: list[tuple[str, MailboxEvent]] = []
        if not any(due_s <= until_s for due_s in self._due_s.values()):
            return due
        may_s = self._may_s
        for call in [
            call
            for call, due_s in self._due_s.items()
            if due_s <= until_s or may_s[call] <= until_s
        ]:
            del self._due_s[call], may_s[call]
            events = self._waiting.pop(call)
            self._count -= len(events)
            due += [(call, event) for event in events]
        return due

    def _wake_at(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        """One timer for all: a wake-up costs more than an event."""
        if due_s <= loop.time():
            self._stirred.set()
        elif due_s < self._wakes_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._wakes_s = loop.call_at(due_s, self._wake), due_s

    def _wake(self) -> None:
        self._timer, self._wakes_s = None, float("inf")
        self._stirred.set()

    def _drop_oldest(self) -> None:
        call, events = next(iter(self._waiting.items()))
        events.pop(0)
        self._count -= 1
        if not events:
            del self._waiting[call], self._due_s[call], self._may_s[call]

    async def _post(self, batch: list[tuple[str, MailboxEvent]]) -> None:
        """Post the batch, however long it takes. Events that are posted twice change nothing."""
        while True:
            try:
                nudges = await self._mailboxes.post(batch)
            except redis.exceptions.NoScriptError:
                await self._load_scripts()
            except redis.RedisError as error:
                self._say.error("Redis (REDIS_URL) takes no events, they wait here: %s", error)
                await asyncio.sleep(0.2)
            else:
                if nudges:
                    self._nudger.nudge(nudges)
                return

    async def _load_scripts(self) -> None:
        try:
            await self._mailboxes.load_scripts()
        except redis.RedisError as error:
            self._say.error("Redis (REDIS_URL) takes no scripts: %s", error)
            await asyncio.sleep(0.2)


def _patience_s(event: MailboxEvent, waiting: list[MailboxEvent]) -> tuple[float, float]:
    """For how long the event waits for company of its call, where these wait already, and for how
    long at most it waits then for something to go along with, from now."""
    if isinstance(event, ChannelAnswered):
        return _until_both_answered_s(event, waiting)
    if isinstance(event, ChannelEnd) and _is_ended_by_us(waiting):
        # Our own doing, and most often all that is still to be heard of the call.
        return (0.0, ENDED_S) if isinstance(event, ChannelDestroyed) else (COMPANY_S, ENDED_S)
    if event.urgency is not Urgency.NOW:
        return COMPANY_S, GATHER_S
    return (END_S, END_S) if isinstance(event, HangupRequested | ChannelLeft) else (0.0, 0.0)


def _until_both_answered_s(
    event: ChannelAnswered, waiting: list[MailboxEvent]
) -> tuple[float, float]:
    """The same for an answer, which waits for that of the other side. Once both have come they go
    at once, though nothing is to be done: they are what is billed, and should this process die
    nobody else has heard them."""
    is_b = ids.is_created_by_us(event.channel_id)
    for each in waiting:
        if isinstance(each, ChannelAnswered) and ids.is_created_by_us(each.channel_id) != is_b:
            return 0.0, 0.0
    return (ANSWER_S, ANSWER_S) if is_b else (ANSWER_S, GATHER_S)


def _is_ended_by_us(waiting: list[MailboxEvent]) -> bool:
    """Whether a channel of the call that these events are of was told to end."""
    return any(isinstance(each, HangupRequested) and each.soft for each in waiting)
