"""The engine on a real Redis, with the pure world as its Asterisk and a reaper for its workers.

What the world tells is in the call's mailbox at once, as the listener does it, also in the middle
of a turn.
"""

import inspect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import redis

from calls.engine.phones import Phones
from calls.engine.turn import Engine
from calls.errors import RoutingUnavailable
from calls.machine.commands import AriCommand, FindRoute
from calls.machine.events import CommandDone, CommandFailed, Listed, MailboxEvent
from calls.machine.journal import read
from calls.machine.session import Phase, Session, from_json
from calls.routing.choice import CallFacts, Plan, Refusal
from calls.store.counters import Limits
from calls.store.directory import Directory
from calls.store.mailbox import ATTEND, Mailboxes
from calls.story.retrace import Course, retrace
from cdr.record import CallRecord
from cdr.stream import BEGUN_FIELD, BEGUN_STREAM, FIELD, STREAM
from cdr.trace import STREAM as TRACES
from cdr.trace import TraceHead
from tests.limits.conftest import OpenBook
from tests.machine.world import CALL, World, entered, ordered


class Killed(BaseException):
    """kill -9: no handler of the engine may see it as a fault it could deal with."""


@dataclass
class Reaper:
    """Kills workers: each after so many steps of its life, the last lives on.

    A step lies before and after every call that a worker makes.
    """

    lives: list[int] = field(default_factory=list)
    steps: int = 0
    dead: bool = False

    def step(self) -> None:
        self.steps += 1
        if self.dead or self.lives[:1] == [self.steps]:
            self.dead = True
            raise Killed

    def next_life(self) -> None:
        self.lives, self.steps, self.dead = self.lives[1:], 0, False


class Mortal:
    """Something a worker calls, each call of which may be its last."""

    def __init__(self, inner: Any, reaper: Reaper) -> None:
        self._inner = inner
        self._reaper = reaper

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def call(*args: Any, **options: Any) -> Any:
            self._reaper.step()
            result = await method(*args, **options)
            self._reaper.step()
            return result

        return call


class WorldGateway:
    """The gateway of calls/engine/asterisk.py to the pure world."""

    def __init__(self, world: World, tell: Callable[[], Awaitable[list[str]]]) -> None:
        self.world = world
        self._tell = tell
        self.listens = True
        """Whether what happens is heard at once, or only when the listener is back."""
        self.before: Callable[[AriCommand], Awaitable[None]] | None = None
        """Runs before a command is carried out."""

    async def carry_out(
        self, node: str, command: AriCommand, again: bool, until_s: float = math.inf
    ) -> CommandDone | CommandFailed | Listed:
        assert node == "demo"
        if self.before is not None:
            await self.before(command)
        outcome = self.world.carry_out(command, again=again)
        if self.listens:
            await self._tell()
        assert isinstance(outcome, CommandDone | CommandFailed | Listed)
        return outcome

    async def close(self) -> None:
        pass


class StubDirectory:
    """Finds what the world was given to be found."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.versions: list[int] = []
        self.down = False

    async def find(self, facts: CallFacts, config_version: int) -> Plan | Refusal:
        self.versions.append(config_version)
        if self.down:
            raise RoutingUnavailable("the routing database does not answer: it is away")
        self.world.carry_out(FindRoute())
        return self.world.found

    async def endpoint(self, trunk: str, number: str, config_version: int) -> str:
        return f"PJSIP/{number}@{trunk}"

    async def phone(self, account: str, phone: str) -> str:
        return f"PJSIP/{phone}"

    def unavailable(self, facts: CallFacts, why: str) -> Refusal:
        return Directory.unavailable(self, facts, why)  # type: ignore[arg-type]


@dataclass
class Office:
    """Everything there is of one call: Asterisk's side, Redis, and as many workers as wanted."""

    mailboxes: Mailboxes
    client: "redis.Redis"
    world: World = field(default_factory=World)
    reaper: Reaper = field(default_factory=Reaper)
    nudges: list[str] = field(default_factory=list)
    limits: Limits | None = None
    """There are none where a test brings none."""

    def __post_init__(self) -> None:
        self.limits = self.limits or Limits(self.mailboxes._redis, OpenBook())
        self.gateway = WorldGateway(self.world, self.tell)
        self.directory = StubDirectory(self.world)
        self.engine = self.hire()

    @property
    def phones(self) -> Phones:
        """What the worker does about phones that it called, once Redis has lost its data."""
        return self.phones_of(self.engine)

    def phones_of(self, engine: Engine) -> Phones:
        return Phones(engine.keepsake, self.mailboxes, self.gateway)

    def hire(self) -> Engine:
        """A new worker, with nothing in its memory."""
        return Engine(
            Mortal(self.mailboxes, self.reaper),  # type: ignore[arg-type]
            Mortal(self.gateway, self.reaper),  # type: ignore[arg-type]
            Mortal(self.directory, self.reaper),  # type: ignore[arg-type]
            Mortal(self.limits, self.reaper),  # type: ignore[arg-type]
            lambda node: self.world.now_ms,
        )

    async def post(self, *events: MailboxEvent) -> list[str]:
        nudges = await self.mailboxes.post([(CALL, event) for event in events])
        self.nudges += nudges
        return nudges

    async def tell(self) -> list[str]:
        """Let the listener bring what the world has told."""
        told, self.world.told[:] = list(self.world.told), []
        return await self.post(*told) if told else []

    async def attend(self) -> None:
        """A turn of a worker. When the reaper takes it, its lock lapses and another comes."""
        while True:
            try:
                return await self.engine.attend(CALL)
            except Killed:
                self.expire_lock()
                self.reaper.next_life()
                self.engine = self.hire()

    def expire_lock(self) -> None:
        if self.client.hexists(f"ringmaster:call:{CALL}", "until"):
            self.client.hset(f"ringmaster:call:{CALL}", "until", 0)

    async def order(self, **changes: Any) -> None:
        """Somebody orders a call, whose caller is not there yet."""
        self.world.channels.clear()
        await self.post(ordered(**changes))
        await self.attend()

    async def begin(self) -> None:
        await self.post(entered())
        await self.attend()

    async def settle(self) -> None:
        """Go on as the sweeper would until the call is over."""
        for _ in range(12):
            await self.tell()
            if self.is_over:
                return
            session = self.session
            self.world.now_ms = max(self.world.now_ms, session.wake_ms if session else 0)
            await self.attend()
        raise AssertionError(f"The call does not end: {self.session}")

    # --- What there is to see ---

    @property
    def session(self) -> Session | None:
        data = self.client.hget(f"ringmaster:call:{CALL}", "session")
        return from_json(data) if data else None

    @property
    def mail(self) -> int:
        return self.client.llen(f"ringmaster:mail:{CALL}")

    @property
    def is_over(self) -> bool:
        return self.client.hexists(f"ringmaster:call:{CALL}", "over")

    @property
    def records(self) -> list[CallRecord]:
        return [
            CallRecord.from_json(entry[FIELD.encode()]) for _, entry in self.client.xrange(STREAM)
        ]

    @property
    def begun(self) -> list[str]:
        """The calls that were noted to have begun."""
        notes = self.client.xrange(BEGUN_STREAM)
        return [values[BEGUN_FIELD.encode()].decode() for _, values in notes]

    @property
    def journal(self) -> Course:
        """The call's journal as it lies in Redis, decided again: of a live call or of one over."""
        pages = self.client.lrange(f"ringmaster:journal:{CALL}", 0, -1)
        if self.is_over:
            ((_, entry),) = self.client.xrange(TRACES)
            assert TraceHead.from_json(entry[b"head"]).call_id == CALL
            pages = entry[b"journal"].split(b"\n")
        return retrace(CALL, read(b"\n".join(pages)))

    def assert_ended_clean(self) -> CallRecord:
        """One record, one journal that leads to it, nobody dialled twice, and nothing left but the
        tombstone."""
        assert self.world.empty, (self.world.channels, self.world.bridges)
        assert len(self.world.dialled) == len(set(self.world.dialled)), self.world.dialled
        (record,) = self.records
        assert self.client.hkeys(f"ringmaster:call:{CALL}") == [b"over"]
        assert 0 < self.client.pttl(f"ringmaster:call:{CALL}") <= 600_000
        assert self.mail == 0
        assert self.client.zcard(ATTEND) == 0
        keys = {key.decode() for key in self.client.scan_iter()}
        # The counters note the end of a call that was taken over, too, for whoever asks them late.
        noted = f"ringmaster:limit:call:{CALL}"
        if noted in keys:
            assert self.client.hkeys(noted) == [b"over"]
            assert self.client.pttl(noted) > 0
        assert keys - {noted} == {f"ringmaster:call:{CALL}", STREAM, BEGUN_STREAM, TRACES}, keys
        assert self.begun == [CALL]
        assert self.journal.unread == ()
        assert self.journal.record == record
        return record


def phase_of(office: Office) -> Phase | None:
    session = office.session
    return session.phase if session else None
