"""One turn with a call: lock it, read its mailbox, decide, save, act, and let it go.

    take ─▶ decide every event ─▶ save, where a command asks for it ─▶ carry out ─▶ decide the
    results ─▶ … ─▶ let it go (or finish: CDR to the stream, tombstone)

A turn may be cut off anywhere, by kill -9 too. What it had not saved is decided again by the next
turn from the same events, with the same ids; what was saved as pending is carried out again with
`again`, so that the gateway looks first.

A turn may also be frozen anywhere, and wake up after another worker has gone on with the call.
Each script checks the lock's token, so it changes nothing in Redis any more; and nothing is carried
out on a lock that was not proven by a script within the last `PROOF_S`. The lock holds for
`LOCK_MS` from when that script was sent, at least; so a command that begins within `PROOF_S` and
takes `COMMAND_S` at most is over in time.

A turn that fails is tried again; one that fails again and again ends its call (last_turn.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import TypeVar, overload
from uuid import uuid4

import redis

from calls import ids, log_context, metrics
from calls.clock import steady_s, wall_clock_ms
from calls.deadlines import Deadlines
from calls.engine.asterisk import Gateway
from calls.engine.dialling import doubt_of
from calls.engine.keepsake import Keepsake
from calls.engine.last_turn import LastTurn
from calls.engine.last_words import say_over
from calls.errors import CallError, FromNewerVersion, LockLost, RoutingUnavailable
from calls.limits.rules import Denial
from calls.machine import pending, proofs, table
from calls.machine.beginning import facts_of
from calls.machine.commands import (
    Command,
    CreateChannel,
    Extend,
    FindRoute,
    LookUp,
    Originate,
    Release,
    Reserve,
)
from calls.machine.events import (
    CallRefused,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    Extended,
    LimitRefused,
    MailboxEvent,
    Reserved,
    Result,
    RouteChosen,
    begins,
)
from calls.machine.journal import Notebook
from calls.machine.news import news
from calls.machine.record import call_record, trace_head
from calls.machine.session import Phase, Session
from calls.routing.choice import Plan, Refusal
from calls.store import outbox
from calls.store.counters import Limits
from calls.store.directory import Directory
from calls.store.mailbox import Mailboxes, News, Taken

RESERVE_S = 1.0
"""The longest that the limits Redis may take before a caller is told that nobody can count now."""
COMMAND_S = 2.0
"""The longest that one command may take. With `PROOF_S` it is well below the lock's time."""
PROOF_S = 1.0
"""How old the last proof of the lock may be when something is done on it."""
GRACE_S = 0.25
"""How much longer than its time a gateway is waited for, should it forget the time."""
LINGER_S = (0.04, 0.02)
"""How long a turn waits, holding the lock, for the last events of a call that is ending: they
follow its last command within milliseconds, but may wait for company in the bridge (ENDED_S in
ari_bridge/poster.py); and waiting costs less than another nudge."""
AFTER_ERROR_MS = 2_000
"""How long a call that made the engine fail is left alone."""
HOPELESS_TURNS = 5
HOPELESS_MS = 30_000
"""A call whose turns fail is given up after so many of them, over so long at least."""
NEWER_MS = 600_000
"""The same for a session that a newer version saved: its workers are there, or will be."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


def _wall_clock(node: str) -> int:
    return wall_clock_ms()


class Engine:
    """Attends to calls. One engine serves one worker process, on its event loop."""

    def __init__(
        self,
        mailboxes: Mailboxes,
        gateway: Gateway,
        directory: Directory,
        limits: Limits,
        clock_ms: Callable[[str], int] = _wall_clock,
        steady_s: Callable[[], float] = steady_s,
        keeps_journal: bool = True,
        note_node: Callable[[str, bool], None] | None = None,
    ) -> None:
        """``clock_ms`` is asked for the time by a node's own clock, in ms since the epoch;
        ``note_node`` is told of each command whether its node answered.
        """
        self._mailboxes = mailboxes
        self._gateway = gateway
        self._directory = directory
        self._clock_ms = clock_ms
        self._limits = limits
        self._steady_s = steady_s
        self._keeps_journal = keeps_journal
        self._note_node = note_node
        self.keepsake = Keepsake(steady_s)
        self._deadlines = Deadlines()
        self._name = uuid4().hex
        self._turns = count(1)

    async def attend(self, call: str, found: bool = False) -> None:
        """Give the call one turn; returns at once when another worker has it.

        ``found``: by the sweeper, most often with others, along with which it is taken.
        Raises redis.RedisError when Redis fails: the call is then as it was saved last.
        """
        log_context.call_id.set(call)
        token = f"{self._name}.{next(self._turns)}"
        try:
            asked_s = self._steady_s()
            taken = await self._mailboxes.take(call, token, found)
            if taken is None:
                metrics.TURNS_FOR_NOTHING.inc()
                return
            await _Turn(self, call, token, taken, asked_s).run()
            metrics.TURNS.observe(self._steady_s() - asked_s)
        except LockLost as lost:
            metrics.LOCKS_LOST.inc()
            logger.warning("%s", lost)
        except redis.RedisError:
            raise
        except Exception as error:
            metrics.TURNS_FAILED.inc()
            logger.exception("Call %s could not be attended to; it is tried again.", call)
            await self._failed(call, token, error)

    async def _failed(self, call: str, token: str, error: Exception) -> None:
        for_ms = NEWER_MS if isinstance(error, FromNewerVersion) else HOPELESS_MS
        try:
            asked_s = self._steady_s()
            failing = await self._mailboxes.failed(
                call, token, AFTER_ERROR_MS, HOPELESS_TURNS, for_ms
            )
            if failing.hopeless:
                why = (
                    f"{failing.turns} turns failed in {failing.for_ms // 1000} s, "
                    f"the last by {error!r}"
                )
                last = LastTurn(
                    self._mailboxes,
                    self._gateway,
                    self._limits,
                    self._clock_ms,
                    self._keeps_journal,
                )
                await last.run(call, token, why, asked_s + PROOF_S + COMMAND_S)
        except CallError as cannot:
            # Its lock lapses, and whoever comes next tries it again.
            logger.warning("%s", cannot)


class _Turn:
    """The state of one turn: what was saved, what was handled, what an earlier turn left."""

    def __init__(self, engine: Engine, call: str, token: str, taken: Taken, asked_s: float) -> None:
        self._mailboxes = engine._mailboxes
        self._gateway = engine._gateway
        self._directory = engine._directory
        self._node = ids.split_call_id(call)[0]
        self._clock_ms = engine._clock_ms
        self._steady_s = engine._steady_s
        self._limits = engine._limits
        self._note_node = engine._note_node
        self._keeps_journal = engine._keeps_journal
        self._keepsake = engine.keepsake
        self._deadlines = engine._deadlines
        self._notebook = Notebook(_turn_name(token), self._now_ms())
        self._call = call
        self._token = token
        self._version = taken.config_version
        self._taken_over = taken.taken_over
        metrics.LOCK_TAKEOVERS.inc(taken.taken_over)
        self._events: tuple[MailboxEvent, ...] = taken.events
        self._session = taken.session
        self._told = taken.session
        """As it was saved last: what is new since then is told to webhooks."""
        self._left_over = taken.session.pending if taken.session else ()
        self._saved = self._left_over
        self._handled = 0
        self._lingered = 0
        self._alone = False
        """Whether something was decided since the last save on what only we know."""
        self._proven_s = asked_s
        """Before this the lock was asked for last, and we had it."""

    async def run(self) -> None:
        """Go on until there is nothing left to do, then let the call go or finish it."""
        session = self._hear(self._session, self._events)
        if session is None:
            # Events of a call that never began here, such as a hang-up asked for too late.
            await self._mailboxes.discard(self._call, self._token)
            return
        if not self._events and not session.pending and self._now_ms() >= session.wake_ms:
            metrics.DOUBTS.inc()
            session = self._decide(session, Doubted(self._now_ms()))
            self._alone = True
        while session.phase is not Phase.OVER:
            if session.pending:
                session = await self._act(session)
                continue
            last = await self._linger(session)
            if last:
                session = self._hear(session, last)
                continue
            wake_in_ms = session.wake_ms - self._now_ms()
            events = await self._proving(
                self._mailboxes.let_go(
                    session,
                    self._token,
                    self._handled,
                    wake_in_ms,
                    self._notebook.page(),
                    self._news(session),
                )
            )
            self._is_saved(session)
            if not events:
                self._keepsake.let_go(session)
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
        if session is None:
            began = next(filter(begins, events), None)
            if began is not None:
                metrics.CALLS_BEGUN.labels(self._node).inc()
                self._note(began)
        return table.fold(self._call, session, events, self._decide)

    async def _act(self, session: Session) -> Session:
        """Carry out what is pending; save it first where it asks for it, or to prove the lock."""
        todo = _next_batch(session.pending)
        now_s = self._steady_s()
        proof_is_old = now_s - self._proven_s > PROOF_S
        if proof_is_old or pending.must_be_saved(todo, self._saved, self._alone):
            page, told = self._notebook.page(), self._news(session)
            events = await self._proving(
                self._mailboxes.save(session, self._token, self._handled, page, told)
            )
            self._is_saved(session)
            # The caller may just have left: decide that before dialling for nobody. And should the
            # save have taken too long, it proves nothing any more.
            return self._hear(session, events)
        asked_ms = self._now_ms()
        for result in await self._carry_out_all(session, todo, now_s + COMMAND_S):
            session = self._decide(session, result, asked_ms)
            self._alone = True
        return session

    async def _proving(self, script: Awaitable[T]) -> T:
        """Wait for a script that checks our lock, and remember since when it is proven."""
        asked_s = self._steady_s()
        reply = await script
        self._proven_s = asked_s
        return reply

    def _is_saved(self, session: Session) -> None:
        self._handled, self._saved, self._alone = 0, session.pending, False
        self._told = session

    def _news(self, session: Session) -> News:
        wanted = outbox.wanted.events
        return tuple(news(self._told, session, wanted)) if wanted else ()

    def _now_ms(self) -> int:
        return self._clock_ms(self._node)

    def _note(self, event: Event, asked_ms: int = 0) -> None:
        if self._keeps_journal:
            self._notebook.note(event, asked_ms)

    def _decide(self, session: Session, event: Event, asked_ms: int = 0) -> Session:
        self._note(event, asked_ms)
        after = table.decide(session, event)
        if after.answered_ms is not None and session.answered_ms is None:
            metrics.answered(after.answered_ms - after.started_ms)
        if after.legs is not session.legs:
            for trunk, works in proofs.settled(session, after):
                self._limits.proofs.note(trunk, works)
        return after

    async def _carry_out_all(
        self, session: Session, todo: tuple[Command, ...], until_s: float
    ) -> Iterable[Result]:
        if len(todo) == 1:
            # Most often there is one, and a task for it would cost a tenth of a turn.
            return (await self._carry_out(session, todo[0], until_s),)
        return await asyncio.gather(*(self._carry_out(session, each, until_s) for each in todo))

    async def _carry_out(self, session: Session, command: Command, until_s: float) -> Result:
        if isinstance(command, FindRoute):
            return await self._find_route(session)
        if isinstance(command, Reserve):
            return await self._reserve(session, command)
        if isinstance(command, Extend):
            return await self._extend(session, command)
        if isinstance(command, Release):
            return await self._release(session, command)
        again = command in self._left_over
        result: Result
        try:
            with self._deadlines.within(COMMAND_S + GRACE_S):
                if isinstance(command, CreateChannel | Originate):
                    wrong = await doubt_of(command, session, self._directory, self._version)
                    if wrong:
                        logger.error("Call %s: %s.", session.call_id, wrong)
                        return CommandFailed(self._now_ms(), command, wrong)
                result = await self._gateway.carry_out(session.node, command, again, until_s)
        except TimeoutError:
            reason = f"node {session.node} did not answer {command.tag} within {COMMAND_S:g} s"
            result = CommandFailed(self._now_ms(), command, reason, unknown=True, of_node=True)
        if self._note_node is not None:
            self._note_node(
                session.node, not (isinstance(result, CommandFailed) and result.of_node)
            )
        return result

    async def _find_route(self, session: Session) -> RouteChosen | CallRefused:
        facts = facts_of(session)
        try:
            # Asked at the same time: a database that hangs is waited for once, not twice.
            self._limits.prepare(self._version)
            with self._deadlines.within(COMMAND_S):
                found: Plan | Refusal = await self._directory.find(facts, self._version)
                if isinstance(found, Plan):
                    return await self._guarded(session, found)
        except (RoutingUnavailable, TimeoutError) as error:
            found = self._directory.unavailable(facts, str(error) or "the database is too slow")
            logger.error("Call %s is refused: %s.", session.call_id, found.reason)
        return CallRefused(self._now_ms(), found)

    async def _guarded(self, session: Session, plan: Plan) -> RouteChosen | CallRefused:
        guarded = await self._limits.guard(plan, self._version, session.started_ms, session.node)
        if isinstance(guarded, Refusal):
            return CallRefused(self._now_ms(), guarded)
        return RouteChosen(self._now_ms(), guarded.plan, guarded.rules, guarded.capped_by)

    async def _reserve(self, session: Session, command: Reserve) -> Result:
        try:
            with self._deadlines.within(RESERVE_S):
                answer = await self._limits.reserve(session, command.attempt)
        except (redis.RedisError, TimeoutError) as error:
            return self._uncounted(session, command, error)
        if isinstance(answer, Denial):
            return LimitRefused(self._now_ms(), answer.limit)
        return Reserved(self._now_ms(), answer.skipped, answer.talk_s, answer.by, answer.trunk)

    async def _extend(self, session: Session, command: Extend) -> Result:
        try:
            with self._deadlines.within(RESERVE_S):
                talk_s, by = await self._limits.extend(session, command.have_s)
        except (redis.RedisError, TimeoutError) as error:
            return self._uncounted(session, command, error)
        return Extended(self._now_ms(), talk_s, by)

    def _uncounted(self, session: Session, command: Command, error: Exception) -> CommandFailed:
        why = str(error) or f"no answer within {RESERVE_S:g} s"
        reason = f"calls cannot be counted, the limits Redis does not answer: {why}"
        logger.error("Call %s: %s.", session.call_id, reason)
        return CommandFailed(self._now_ms(), command, reason, unknown=True)

    async def _release(self, session: Session, command: Release) -> Result:
        ended = (session.call_id, session.rules or (), command.talk_ms)
        try:
            with self._deadlines.within(RESERVE_S):
                await self._limits.release(*ended)
        except TimeoutError:
            self._limits.release_later(*ended, f"no answer within {RESERVE_S:g} s")
        return CommandDone(self._now_ms(), command)

    async def _linger(self, session: Session) -> tuple[MailboxEvent, ...]:
        """The last events of a call that is ending, which come within milliseconds.

        Only looked for, as its end is what will be saved next.
        """
        if not table.lingers(session) or self._lingered == len(LINGER_S):
            return ()
        await asyncio.sleep(LINGER_S[self._lingered])
        self._lingered += 1
        return await self._mailboxes.came(self._call, self._token, self._handled)

    async def _finish(self, session: Session) -> None:
        if self._taken_over and not session.rules:
            # Who had it before may have taken places, and not come to saving that there are any.
            await self._limits.release(self._call, (), 0)
        record = call_record(session)
        head = trace_head(record).to_json() if self._keeps_journal else b""
        text = record.to_json()
        page, told = self._notebook.page(), self._news(session)
        await self._mailboxes.finish(self._call, self._token, text, head, page, told)
        self._keepsake.finished(self._call, text)
        say_over(record)


def _turn_name(token: str) -> str:
    """Enough of a token to tell turns apart in a journal: which worker, and its how manieth."""
    name, _, number = token.partition(".")
    return f"{name[:6]}.{number}"


def _next_batch(pending: tuple[Command, ...]) -> tuple[Command, ...]:
    """What may be done at the same time: a look comes after what it is to see."""
    others = tuple(command for command in pending if not isinstance(command, LookUp))
    return others or pending
