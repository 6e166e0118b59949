"""One turn with a call: lock it, read its mailbox, decide, save, act, and let it go.

    take ─▶ decide every event ─▶ save, where a command asks for it ─▶ carry out ─▶ decide the
    outcomes ─▶ … ─▶ release (or finish: CDR to the stream, tombstone)

A turn may be cut off anywhere, by kill -9 too. What it had not saved is decided again by the next
turn from the same events, with the same ids; what was saved as pending is carried out again with
`again`, so that the gateway looks first. Every save checks the lock's token, so a turn that was
slower than its lock changes nothing any more.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from itertools import count
from typing import overload
from uuid import uuid4

import redis

from calls import machine, trunk_health
from calls.commands import Command, FindRoute, LookUp, Release, Reserve
from calls.directory import Directory
from calls.errors import CallError, LockLost, RoutingUnavailable
from calls.events import (
    CallEntered,
    CallRefused,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    LimitRefused,
    MailboxEvent,
    Outcome,
    Reserved,
    RouteChosen,
)
from calls.gateway import Gateway
from calls.limit_rules import Denial
from calls.limits import Limits
from calls.mailbox import Mailboxes, Taken
from calls.records import call_record
from calls.routing import CallFacts, Plan, Refusal
from calls.session import Phase, Session

RESERVE_S = 1.0
"""The longest that the limits Redis may take before a caller is told that nobody can count now."""
COMMAND_S = 2.0
"""The longest that one command may take; half of the lock's time, so a turn never outlives it."""
LINGER_S = (0.008, 0.016)
"""How long a turn waits, holding the lock, for the last events of a call that is ending: they
follow its last command within milliseconds, and waiting costs less than another nudge."""
AFTER_ERROR_MS = 2_000
"""How long a call that made the engine fail is left alone."""

logger = logging.getLogger(__name__)


def wall_clock_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class Engine:
    """Attends to calls. One engine serves one worker process, on its event loop."""

    def __init__(
        self,
        mailboxes: Mailboxes,
        gateway: Gateway,
        directory: Directory,
        clock_ms: Callable[[], int] = wall_clock_ms,
        limits: Limits | None = None,
    ) -> None:
        self._mailboxes = mailboxes
        self._gateway = gateway
        self._directory = directory
        self._clock_ms = clock_ms
        self._limits = limits
        self._name = uuid4().hex
        self._turns = count(1)

    async def attend(self, call: str) -> None:
        """Give the call one turn; returns at once when another worker has it.

        Raises redis.RedisError when Redis fails: the call is then as it was saved last.
        """
        token = f"{self._name}.{next(self._turns)}"
        try:
            taken = await self._mailboxes.take(call, token)
            if taken is not None:
                await _Turn(self, call, token, taken).run()
        except LockLost as lost:
            logger.warning("%s", lost)
        except CallError:
            logger.exception("Call %s could not be attended to; it is tried again.", call)
            await self._mailboxes.postpone(call, self._clock_ms() + AFTER_ERROR_MS)


class _Turn:
    """The state of one turn: what was saved, what was handled, what an earlier turn left."""

    def __init__(self, engine: Engine, call: str, token: str, taken: Taken) -> None:
        self._mailboxes = engine._mailboxes
        self._gateway = engine._gateway
        self._directory = engine._directory
        self._clock_ms = engine._clock_ms
        self._limits = engine._limits
        self._call = call
        self._token = token
        self._version = taken.config_version
        self._events: tuple[MailboxEvent, ...] = taken.events
        self._session = taken.session
        self._left_over = taken.session.pending if taken.session else ()
        self._saved = self._left_over
        self._handled = 0
        self._lingered = 0

    async def run(self) -> None:
        """Go on until there is nothing left to do, then release or finish the call."""
        session = self._hear(self._session, self._events)
        if session is None:
            # Events of a call that never began here, such as a hang-up asked for too late.
            await self._mailboxes.discard(self._call, self._token)
            return
        if not self._events and not session.pending and self._clock_ms() >= session.wake_ms:
            session = self._decide(session, Doubted(self._clock_ms()))
        while session.phase is not Phase.OVER:
            if session.pending:
                session = await self._act(session)
                continue
            await self._linger(session)
            events = await self._mailboxes.release(session, self._token, self._handled)
            self._handled, self._saved = 0, session.pending
            if not events:
                return
            session = self._hear(session, events)
        await self._finish(session)

    @overload
    def _hear(self, session: Session, events: tuple[MailboxEvent, ...]) -> Session: ...
    @overload
    def _hear(
        self, session: Session | None, events: tuple[MailboxEvent, ...]
    ) -> Session | None: ...
    def _hear(self, session: Session | None, events: tuple[MailboxEvent, ...]) -> Session | None:
        self._handled += len(events)
        for event in events:
            if session is not None:
                session = self._decide(session, event)
            elif isinstance(event, CallEntered):
                session = machine.begin(self._call, event)
        return session

    async def _act(self, session: Session) -> Session:
        """Carry out what is pending, saving it first where the commands ask for it."""
        todo = _next_batch(session.pending)
        if any(command.save_first and command not in self._saved for command in todo):
            events = await self._mailboxes.save(session, self._token, self._handled)
            self._handled, self._saved = 0, session.pending
            if events:
                # The caller may just have left: decide that before dialling for nobody.
                return self._hear(session, events)
        for outcome in await self._carry_out_all(session, todo):
            session = self._decide(session, outcome)
        return session

    def _decide(self, session: Session, event: Event) -> Session:
        after = machine.decide(session, event)
        if self._limits is not None and after.legs is not session.legs:
            for trunk, works in trunk_health.settled(session, after):
                self._limits.outcomes.note(trunk, works)
        return after

    async def _carry_out_all(
        self, session: Session, todo: tuple[Command, ...]
    ) -> Iterable[Outcome]:
        if len(todo) == 1:
            # Most often there is one, and a task for it would cost a tenth of a turn.
            return (await self._carry_out(session, todo[0]),)
        return await asyncio.gather(*(self._carry_out(session, each) for each in todo))

    async def _carry_out(self, session: Session, command: Command) -> Outcome:
        if isinstance(command, FindRoute):
            return await self._find_route(session)
        if isinstance(command, Reserve):
            return await self._reserve(session, command)
        if isinstance(command, Release):
            return await self._release(session, command)
        again = command in self._left_over
        try:
            async with asyncio.timeout(COMMAND_S):
                return await self._gateway.carry_out(session.node, command, again)
        except TimeoutError:
            reason = f"node {session.node} did not answer {command.tag} within {COMMAND_S:g} s"
            return CommandFailed(self._clock_ms(), command, reason, unknown=True)

    async def _find_route(self, session: Session) -> RouteChosen | CallRefused:
        facts = CallFacts(
            session.call_id,
            session.dialled,
            session.caller_number,
            session.account_keys,
            session.started_ms,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                found: Plan | Refusal = await self._directory.find(facts, self._version)
                if isinstance(found, Plan):
                    return await self._guarded(session, found)
        except (RoutingUnavailable, TimeoutError) as error:
            found = self._directory.unavailable(facts, str(error) or "the database is too slow")
            logger.error("Call %s is refused: %s.", session.call_id, found.reason)
        return CallRefused(self._clock_ms(), found)

    async def _guarded(self, session: Session, plan: Plan) -> RouteChosen:
        if self._limits is None:
            return RouteChosen(self._clock_ms(), plan)
        guarded = await self._limits.guard(plan, self._version, session.started_ms)
        return RouteChosen(self._clock_ms(), guarded.plan, guarded.rules, guarded.capped_by)

    async def _reserve(self, session: Session, command: Reserve) -> Outcome:
        assert self._limits is not None  # noqa: S101 - only limits give a call rules
        try:
            async with asyncio.timeout(RESERVE_S):
                answer = await self._limits.reserve(session, command.attempt)
        except (redis.RedisError, TimeoutError) as error:
            why = str(error) or f"no answer within {RESERVE_S:g} s"
            reason = f"calls cannot be counted, the limits Redis does not answer: {why}"
            logger.error("Call %s: %s.", session.call_id, reason)
            return CommandFailed(self._clock_ms(), command, reason, unknown=True)
        if isinstance(answer, Denial):
            return LimitRefused(self._clock_ms(), answer.rule.name)
        return Reserved(self._clock_ms(), answer.skipped, answer.talk_s, answer.by)

    async def _release(self, session: Session, command: Release) -> Outcome:
        assert self._limits is not None  # noqa: S101 - only limits give a call rules
        ended = (session.call_id, session.rules or (), command.talk_ms)
        try:
            async with asyncio.timeout(RESERVE_S):
                await self._limits.release(*ended)
        except TimeoutError:
            self._limits.release_later(*ended, f"no answer within {RESERVE_S:g} s")
        return CommandDone(self._clock_ms(), command)

    async def _linger(self, session: Session) -> None:
        if machine.lingers(session) and self._lingered < len(LINGER_S):
            await asyncio.sleep(LINGER_S[self._lingered])
            self._lingered += 1

    async def _finish(self, session: Session) -> None:
        record = call_record(session)
        await self._mailboxes.finish(self._call, self._token, record.to_json())
        logger.info(
            "Call %s is over: %s, %d ms of talk, ended by %s%s.",
            self._call,
            record.disposition,
            record.talk_ms,
            record.ended_by,
            f" ({record.reason})" if record.reason else "",
        )


def _next_batch(pending: tuple[Command, ...]) -> tuple[Command, ...]:
    """What may be done at the same time: a look comes after what it is to see."""
    others = tuple(command for command in pending if not isinstance(command, LookUp))
    return others or pending
