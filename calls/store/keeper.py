"""Keeps the places of live calls among the limits: one worker of each cell, elected, for all.

A place is a lease that lapses by itself; the keeper renews those of the calls that are up. Where
the limits Redis has lost its memory of a call, the call's own session says what it holds, and it is
taken again. Once all of a cell's calls have been gone through, the cell's mark says for one lease
that who holds places is known; without it nobody is let in whom a limit might have to refuse. So a
Redis that lost its data, or was away for longer than a lease, admits nobody past a limit. Cells
that share a limits Redis each keep their own calls: after a loss, another cell's calls count again
as soon as its keeper notices, a second later.

Keys: see the head of calls/store/counters.py.
"""

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol
from uuid import uuid4

from redis.asyncio import Redis

from calls.machine.events import MailboxEvent
from calls.machine.session import Phase, Session
from calls.store.questions import call_key, keeper_key, kept_key, retaking, script

RENEWED_AT_ONCE = 200
"""Calls renewed in one round trip, about 1 ms of Redis's time."""
READ_AT_ONCE = 25
"""Sessions read in one piece: some 3 ms of this process's time."""
HOLDING = (Phase.RESERVING, Phase.SETUP, Phase.DIALLING, Phase.TALKING)
"""Phases in which a call may hold places."""

Seen = Mapping[str, tuple[Session | None, tuple[MailboxEvent, ...]]]
"""Sessions, and the events that wait beside them."""

logger = logging.getLogger(__name__)


class LiveCalls(Protocol):
    """The calls of a cell, as calls.store.mailbox.Mailboxes has them."""

    async def cell(self, known: str) -> str:
        """The name of the cell; what it was when last asked is put back where it was lost."""
        ...

    async def live(self) -> list[str]:
        """The ids of all calls that are up."""
        ...

    async def peek(self, calls: Sequence[str]) -> Seen:
        """Their sessions."""
        ...


class Keeper:
    """One worker's part in keeping its cell's places, on its event loop.

    Every method raises redis.RedisError when either Redis fails.
    """

    def __init__(self, redis: Redis, calls: LiveCalls, lease_ms: int) -> None:
        self._redis = redis
        self._calls = calls
        self._lease_ms = lease_ms
        self._name = uuid4().hex
        self._cell = ""
        self._renew = script(redis, "renew")
        self._retake = script(redis, "slices", "retake")
        self._elect = script(redis, "elect")
        self._renew_at_s = 0.0
        self._unlimited: set[str] = set()
        """Live calls of which their session says that no limit counts them."""
        self._mending: asyncio.Task[None] | None = None

    async def kept_key(self) -> str:
        """The key that is there while it is known who holds places."""
        if not self._cell:
            self._cell = await self._calls.cell("")
        return kept_key(self._cell)

    async def turn(self) -> None:
        """Renew what is up, if this worker is the keeper and it is time, or urgent."""
        now_s = asyncio.get_running_loop().time()
        elected, kept = await self._stand()
        if elected and (now_s >= self._renew_at_s or not kept):
            await self.renew()
            self._renew_at_s = now_s + self._lease_ms / 3000 * random.uniform(0.8, 1)  # noqa: S311

    async def mend(self) -> None:
        """It is not known who holds places: find out, or wait a little for the one who does."""
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._renew_if_elected())
        # Callers who come meanwhile wait for the same, and none of them cuts it short.
        await asyncio.shield(self._mending)

    async def renew(self) -> int:
        """Hold on to the places of all calls that are up; returns how many hold any."""
        calls = await self._calls.live()
        self._unlimited.intersection_update(calls)
        held = 0
        for some in _batches(calls, RENEWED_AT_ONCE):
            renewed, unknown = await self._renew(
                keys=list(map(call_key, some)), args=[self._lease_ms, *some]
            )
            held += renewed + await self._take_again([some[index - 1] for index in unknown])
        await self._redis.set(await self.kept_key(), 1, px=self._lease_ms)
        return held

    async def _renew_if_elected(self) -> None:
        elected, _ = await self._stand()
        if elected:
            await self.renew()
        else:
            await asyncio.sleep(0.05)

    async def _stand(self) -> tuple[bool, bool]:
        """Stand for keeper: whether this worker is, and whether it is known who holds places."""
        self._cell = await self._calls.cell(self._cell)
        keys = [keeper_key(self._cell), kept_key(self._cell)]
        # A keeper that dies is followed by another well before the mark lapses.
        elected, kept = await self._elect(keys=keys, args=[self._name, self._lease_ms // 6])
        return bool(elected), bool(kept)

    async def _take_again(self, calls: Sequence[str]) -> int:
        """Let calls of which the limits Redis knows nothing hold what their sessions say."""
        taken = 0
        for some in _batches([each for each in calls if each not in self._unlimited], READ_AT_ONCE):
            questions = []
            for call, (session, _) in (await self._read(some)).items():
                if session is None or session.phase in (Phase.CALLING, Phase.ROUTING):
                    continue
                if not session.rules:
                    self._unlimited.add(call)
                elif session.phase in HOLDING and session.attempts:
                    questions.append(retaking(session, self._lease_ms))
            answers = (self._retake(keys=each.keys, args=[each.argument]) for each in questions)
            taken += sum(await asyncio.gather(*answers))
        return taken

    async def _read(self, calls: Sequence[str]) -> Seen:
        try:
            return await self._calls.peek(calls)
        except (ValueError, TypeError, KeyError):
            if len(calls) == 1:
                # Its place lapses; that of no other call may.
                logger.exception(
                    "Call %s cannot be read, its place is not kept.",
                    calls[0],
                    extra={"call_id": calls[0]},
                )
                return {}
        return {call: seen for each in calls for call, seen in (await self._read([each])).items()}


def _batches(calls: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (calls[start : start + size] for start in range(0, len(calls), size))
