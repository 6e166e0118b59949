"""An explorer: one call, with what may go wrong put between any two steps of the workers.

A *step* lies before and after every call that a worker makes: to Redis (the real scripts on a real
Redis), to Asterisk (the pure world), to the directory, to the limits. A *schedule* says what comes
between which steps. The same schedule always plays the same, so all with one deviation can be gone
through, and those with more be drawn.

What is held, in every one:
  * no command is carried out by a worker that has lost its lock
  * nobody is hung up, and no place given back, while two talk whom nobody has parted
  * nobody is dialled twice; one record; nobody left in Asterisk; no place taken; the minutes
    counted are those of the record
  * whatever lies in a mailbox, somebody will look at it
"""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import redis

from calls.engine.turn import Engine
from calls.machine.commands import AriCommand, Hangup
from calls.machine.events import CommandDone, CommandFailed, Listed
from calls.store.counters import Limits
from calls.store.mailbox import ATTEND, Mailboxes
from cdr.record import CallRecord
from tests.engine.office import Killed, Office, WorldGateway
from tests.limits.calls import limit
from tests.machine.world import CALL, A, World, b, entered, ordered, plan, target

HASH, MAIL = f"ringmaster:call:{CALL}", f"ringmaster:mail:{CALL}"
ROWS = (limit(target="acme"), limit("minutes", 600, "acme", window="day"))
"""The limits of the caller's account."""
_SCRIPTS = (
    "_take",
    "_take_along",
    "_save",
    "_came",
    "_finish",
    "_discard",
    "_fail",
    "_reject",
)
"""The scripts of a turn, each of which may run twice."""
PAUSE_S = 10
"""How long a process freezes: longer than any lock."""


class Deviation(StrEnum):
    """What may come between two steps."""

    CRASH = "the worker is killed"
    PAUSE = "the worker freezes, and goes on where it was"
    LATE = "the worker freezes, and what it waits for has timed out"
    OTHER = "another worker comes"
    REPEAT = "the reply to the next script is lost, and the script runs again"
    ANSWER = "B answers"
    LEAVES = "the caller leaves"
    FAILS = "B's trunk fails"


Schedule = Mapping[int, Deviation]


@dataclass
class Explored:
    """What came of one schedule."""

    steps: int
    record: CallRecord


@dataclass
class Explorer:
    """Plays schedules of one call."""

    mailboxes: Mailboxes
    client: "redis.Redis"
    limits: Limits
    played: int = 0
    _scripts: list["_Repeating"] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in _SCRIPTS:
            script = _Repeating(getattr(self.mailboxes, name))
            setattr(self.mailboxes, name, script)
            self._scripts.append(script)

    async def play(self, schedule: Schedule, ordered: bool = False) -> Explored:
        """Play the schedule; raises AssertionError where something does not hold.

        ``ordered``: the caller does not call, but is called by order.
        """
        self.client.flushdb()
        self.played += 1
        run = _Run(self, schedule, ordered)
        try:
            await run.story()
        except AssertionError as error:
            told = {step: deviation.value for step, deviation in sorted(schedule.items())}
            raise AssertionError(f"With {told}: {error}\n" + "\n".join(run.log)) from error
        return Explored(run.step, run.office.records[0])

    def repeat_next(self) -> None:
        for script in self._scripts:
            script.repeats = self._scripts


class _Repeating:
    """A script of which the next run may come twice."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.repeats: list[_Repeating] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __call__(self, **arguments: Any) -> Any:
        repeats, self.repeats = self.repeats, None
        if repeats is not None:
            for each in repeats:
                each.repeats = None
            await self._inner(**arguments)
        return await self._inner(**arguments)


class _Run:
    """One call under one schedule."""

    def __init__(self, explorer: Explorer, schedule: Schedule, ordered: bool) -> None:
        self._ordered = ordered
        self._explorer = explorer
        self._schedule = schedule
        world = World(found=plan(target(), target("carrier-b")))
        self.office = Office(explorer.mailboxes, explorer.client, world, limits=explorer.limits)
        self.step = 0
        self.steady_s = 0.0
        self.parted = False
        """Whether somebody wants the end of the call."""
        self.log: list[str] = []
        self.wrong: list[str] = []
        """What did not hold on the way. Raised there, the engine would take it for a fault of its
        own and go on."""
        self._depth = 0

    @property
    def world(self) -> World:
        return self.office.world

    # --- The story ---

    async def story(self) -> None:
        if self._ordered:
            self.world.channels.clear()
        await self.office.post(ordered() if self._ordered else entered())
        await self.turn()
        if self._ordered:
            self.pick_up()
            await self.turn()
        self.answer()
        await self.turn()
        self.world.now_ms += 5_000
        self.leave()
        await self.turn()
        for _ in range(12):
            if self.office.is_over:
                break
            session = self.office.session
            self.world.now_ms = max(self.world.now_ms, session.wake_ms if session else 0)
            await self.turn()
        # As the worker's keeper does within a second: an end that timed out on its way to the
        # limits is told there later.
        await self.office.limits._tell_late()
        self._check_end()

    async def turn(self) -> None:
        """Whoever is nudged or sweeps; after a death whoever comes when the lock has lapsed."""
        await self.office.tell()
        worker = _Worker(self)
        for _ in range(5):
            try:
                await worker.attend()
            except Killed:
                self.log.append("killed")
                self.freeze()
                worker = _Worker(self)
                continue
            return
        raise AssertionError("workers die for ever")

    def pick_up(self) -> None:
        self.world.ring(A)
        self.world.pick_up()

    def answer(self) -> None:
        if A in self.world.unanswered:
            return self.pick_up()
        dialled = [each for each in self.world.dialled if each in self.world.channels and each != A]
        if dialled:
            self.world.ring(dialled[-1])
            self.world.answer(dialled[-1])

    def leave(self) -> None:
        self.parted = True
        self.world.end(A, 127)

    def freeze(self) -> None:
        """Time goes by, and the lock lapses."""
        self.world.now_ms += PAUSE_S * 1000
        self.steady_s += PAUSE_S
        self.office.expire_lock()

    # --- Between two steps ---

    async def between(self, what: str) -> Deviation | None:
        """Do what the schedule has here; returns it where the step itself has to deal with it."""
        self.step += 1
        self.log.append(f"{self.step:3} {what}")
        self._check_attended()
        deviation = self._schedule.get(self.step)
        if deviation is None:
            return None
        self.log.append(f"    {deviation}")
        match deviation:
            case Deviation.CRASH:
                raise Killed
            case Deviation.PAUSE | Deviation.LATE:
                self.freeze()
                await self.others()
                self.answer()
                await self.others()
                return deviation
            case Deviation.OTHER:
                await self.others()
            case Deviation.REPEAT:
                self._explorer.repeat_next()
            case Deviation.ANSWER:
                self.answer()
                await self.office.tell()
            case Deviation.LEAVES:
                self.leave()
                await self.office.tell()
            case Deviation.FAILS:
                for each in (b(1), b(2)):
                    if self.world.channels.get(each) in ("Down", "Ringing"):
                        self.world.end(each, 34, 503)
                await self.office.tell()
        return None

    async def others(self) -> None:
        """A turn of another worker, in the middle of this one's."""
        if self._depth < 2:
            self._depth += 1
            await self.turn()
            self._depth -= 1

    # --- What is held ---

    def check_act(self, name: str, what: object) -> None:
        token = self._explorer.client.hget(HASH, "token") or b""
        if not token.decode().startswith(name):
            self.wrong.append(f"{what} by a worker that has lost the lock, at step {self.step}")

    def check_is_over(self, what: object) -> None:
        talk = self.world.channels.get(A) == "Up" and any(
            self.world.channels.get(each) == "Up" for each in (b(1), b(2))
        )
        if talk and not self.parted:
            self.wrong.append(f"{what} while two talk, at step {self.step}")

    def _check_attended(self) -> None:
        client = self._explorer.client
        waits = client.llen(MAIL) and not client.hexists(HASH, "over")
        if waits and client.zscore(ATTEND, CALL) is None:
            self.wrong.append(f"a mailbox that nobody looks at, at step {self.step}")

    def _check_end(self) -> None:
        office, client = self.office, self._explorer.client
        assert not self.wrong, self.wrong
        assert office.is_over, f"the call does not end: {office.session}"
        # A channel that ended and was made again before its end was heard: it was never dialled,
        # and reconciliation ends it, as its call is over.
        left = [each for each in self.world.channels if each in (A, *self.world.dialled)]
        assert not left
        assert not self.world.bridges
        assert len(self.world.dialled) == len(set(self.world.dialled)), "dialled twice"
        assert len(office.records) == 1, office.records
        assert client.zcard(ATTEND) == 0
        assert client.llen(MAIL) == 0
        (record,) = office.records
        for key in client.scan_iter("ringmaster:limit:concurrent:*"):
            raise AssertionError(f"places are taken: {client.zrange(key, 0, -1)}")
        counted = sum(
            int(client.get(key)) for key in client.scan_iter("ringmaster:limit:minutes:*")
        )
        assert counted == record.talk_ms, f"{counted} ms counted, {record.talk_ms} in the record"


class _Worker:
    """A worker each of whose calls is a step."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        office = run.office
        self._engine = Engine(
            _Steps(run, office.mailboxes, "redis"),  # type: ignore[arg-type]
            _StepGateway(self),  # type: ignore[arg-type]
            _Steps(run, office.directory, "directory"),  # type: ignore[arg-type]
            _Steps(run, office.limits, "limits", self),  # type: ignore[arg-type]
            lambda node: run.world.now_ms,
            lambda: run.steady_s,
        )
        self.name = self._engine._name

    async def attend(self) -> None:
        try:
            await self._engine.attend(CALL)
        except redis.RedisError:
            # As the runtime does: the call is as it was saved last, its lock lapses.
            self._run.freeze()

    @property
    def run(self) -> _Run:
        return self._run


class _Steps:
    """Something a worker calls: a step before each call, and one after it."""

    def __init__(self, run: _Run, inner: Any, name: str, worker: _Worker | None = None) -> None:
        self._run, self._inner, self._name, self._worker = run, inner, name, worker

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(method):
            return method

        async def call(*arguments: Any) -> Any:
            what = f"{self._name}.{name}"
            before = await self._run.between(f"before {what}")
            if before in (Deviation.PAUSE, Deviation.LATE) and self._name != "redis":
                # Its time-out fires before anything can be sent.
                raise TimeoutError
            if name == "release" and self._worker is not None:
                self._run.check_is_over("places are given back")
            result = await method(*arguments)
            if await self._run.between(f"after {what}") is Deviation.LATE:
                raise redis.TimeoutError if self._name == "redis" else TimeoutError
            return result

        return call


class _StepGateway:
    """The world's gateway, which sends nothing past its time, as the real one does."""

    def __init__(self, worker: _Worker) -> None:
        self._worker = worker
        self._inner: WorldGateway = worker.run.office.gateway

    async def carry_out(
        self, node: str, command: AriCommand, again: bool, until_s: float = math.inf
    ) -> CommandDone | CommandFailed | Listed:
        run = self._worker.run
        await run.between(f"before {command.tag}")
        if run.steady_s >= until_s:
            return CommandFailed(run.world.now_ms, command, "its time was up", unknown=True)
        run.check_act(self._worker.name, command)
        if isinstance(command, Hangup):
            run.check_is_over(command)
        result = await self._inner.carry_out(node, command, again)
        if await run.between(f"after {command.tag}") is Deviation.LATE:
            return CommandFailed(run.world.now_ms, command, "no answer came", unknown=True)
        return result
