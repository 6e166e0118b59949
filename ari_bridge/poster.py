"""From the listener's hands into the mailboxes: events in order, in batches, never lost to Redis.

The listener only appends; one task takes whatever has gathered, posts it in one round trip and
hands the calls that need a worker to the nudger. While Redis is away events wait here in order.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress

import redis

from ari_bridge.quiet import OncePerSecond
from calls.events import MailboxEvent, Urgency
from calls.mailbox import Mailboxes
from calls.nudges import Nudger

MOST_EVENTS = 256
"""Events in one round trip to Redis."""
GATHER_S = 0.05
"""How long an event that asks for no action may wait to be posted."""
MOST_WAITING = 200_000
"""Events that may wait for Redis, about 100 MB; past it the oldest are dropped and reconciliation
finds what they would have said."""

logger = logging.getLogger(__name__)


class Poster:
    """Posts events of all nodes. Lives on the listener's event loop."""

    def __init__(self, mailboxes: Mailboxes, nudger: Nudger) -> None:
        self._mailboxes = mailboxes
        self._nudger = nudger
        self._waiting: deque[tuple[str, MailboxEvent]] = deque(maxlen=MOST_WAITING)
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._say = OncePerSecond(logger)

    def add(self, call: str, event: MailboxEvent) -> None:
        """Post the event soon; returns at once."""
        if len(self._waiting) == MOST_WAITING:
            self._say.error("Redis is away for too long: the oldest waiting events are dropped.")
        self._waiting.append((call, event))
        self._idle.clear()
        if event.urgency is Urgency.NOW:
            self._urgent.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything is posted; says how much is left if that takes too long."""
        self._urgent.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            logger.error("%d events could not be posted before the end.", len(self._waiting))

    async def run(self) -> None:
        """Post for ever."""
        while True:
            # What is not urgent waits a little for company: one round trip serves for all.
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._urgent.wait()
            self._urgent.clear()
            while self._waiting:
                most = min(len(self._waiting), MOST_EVENTS)
                await self._post([self._waiting.popleft() for _ in range(most)])
            self._idle.set()

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
