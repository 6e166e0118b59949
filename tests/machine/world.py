"""A pure Asterisk for the machine's tests: it obeys commands, and tells what happened in events.

It is not the ARI double (that one speaks HTTP); it is the least that has channels and bridges.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar

from calls import facts, machine
from calls.commands import (
    AddToBridge,
    Answer,
    Command,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    FindRoute,
    Hangup,
    LimitChannel,
    LookUp,
    Reserve,
)
from calls.events import (
    CallEntered,
    CallRefused,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    HangupRequested,
    LimitRefused,
    Listed,
    MailboxEvent,
    Outcome,
    Reserved,
    RouteChosen,
)
from calls.limit_rules import Metric, Rule
from calls.records import call_record
from calls.routing import Plan, Refusal, Target
from calls.session import Phase, Session, from_json, to_json
from cdr.record import CallRecord

A = "1763900000.1"
CALL = f"demo:{A}"
BRIDGE = f"{A}.br"


def b(number: int = 1) -> str:
    return f"{A}.b{number}"


def entered(at_ms: int = 1_000, dialled: str = "33123", **changes: object) -> CallEntered:
    facts = {
        "channel_name": "PJSIP/alice-00000001",
        "caller_number": "4930100",
        "caller_name": "Alice",
        "account_code": "acme",
    }
    return CallEntered(channel_id=A, at_ms=at_ms, dialled=dialled, **(facts | changes))


def target(trunk: str = "carrier-a", **changes: object) -> Target:
    facts = {"callee": "33123", "caller": "4930100", "ring_timeout_s": 30}
    return Target(trunk=trunk, endpoint=f"PJSIP/33123@{trunk}", **(facts | changes))


def plan(*targets: Target, max_call_s: int = 3600) -> Plan:
    return Plan(
        account="acme",
        callee="33123",
        caller="4930100",
        prefix="33",
        route="33 (all)",
        max_call_s=max_call_s,
        targets=targets or (target(),),
    )


def rule(metric: str = "concurrent", **changes: object) -> Rule:
    facts = {"subject": "account:acme", "value": 3, "enforce": True}
    name = f"account acme: 3 {metric}"
    return Rule(metric=Metric(metric), name=name, **(facts | changes))


@dataclass
class World:
    """Asterisk's side of one call, the clock, and the engine's loop without its I/O."""

    found: Plan | Refusal = field(default_factory=plan)
    rules: tuple[Rule, ...] | None = None
    """The limits of the call; None: it has none."""
    capped_by: str = ""
    answers: list[Reserved | LimitRefused] = field(default_factory=list)
    """What the counters say to each attempt; there is room where nothing is left to say."""
    now_ms: int = 1_000
    channels: dict[str, str] = field(default_factory=lambda: {A: "Ring"})
    bridges: set[str] = field(default_factory=set)
    told: list[MailboxEvent] = field(default_factory=list)
    """Events that Asterisk has sent and nobody has taken yet."""
    done: list[Command] = field(default_factory=list)
    """Commands in the order they were carried out."""
    broken: dict[type, CommandFailed | str] = field(default_factory=dict)
    """Kinds of commands that Asterisk refuses, and how: a reason, or the whole failure."""
    dialled: list[str] = field(default_factory=list)
    """Channels for which an INVITE went out, once for each INVITE."""
    session: Session | None = None
    saved: bytes = b""
    """The session as it would lie in Redis now."""
    unsaved: list[MailboxEvent] = field(default_factory=list)
    """Events taken in since then: the mailbox still has them."""

    taken: ClassVar[set[tuple[Phase, str, Phase]]] = set()
    """The steps that any world has taken: phase, signal, phase after it."""

    # --- What the engine does ---

    def save(self) -> None:
        assert self.session is not None
        self.saved, self.unsaved = to_json(self.session), []

    def die_and_come_back(self) -> None:
        """The worker dies; another begins with what was saved and the events that were not."""
        self.session = from_json(self.saved) if self.saved else None
        again = self.session.pending if self.session else ()
        for event in self.unsaved:
            self._take_in(event)
        self.work(again)

    def hear(self, event: MailboxEvent) -> None:
        """One event taken from the mailbox, and everything that is then to be done."""
        self.unsaved.append(event)
        self._take_in(event)
        self.work()

    def hear_all(self) -> None:
        while self.told:
            self.hear(self.told.pop(0))

    def doubt(self) -> None:
        """The call wakes up because nothing was heard for too long."""
        assert self.session is not None
        self.now_ms = max(self.now_ms, self.session.wake_ms)
        self.hear(Doubted(self.now_ms))

    def decide(self, event: Event) -> None:
        """One step of the machine, which may lead only where its table says."""
        before = self.session
        assert before is not None
        key = (before.phase, facts.signal(before, event))
        self.session = machine.decide(before, event)
        to: tuple[Phase, ...] = ()
        if key in machine.TABLE:
            to = machine.TABLE[key][1]
        # A call of which nothing is left when it begins to end, or while it ends, is over.
        closed = (Phase.OVER,) if Phase.ENDING in (before.phase, *to) else ()
        step = (*key, self.session.phase)
        assert self.session.phase in (before.phase, *to, *closed), step
        self.taken.add(step)

    def work(self, again: tuple[Command, ...] = ()) -> None:
        assert self.session is not None
        while self.session.pending and self.session.phase is not Phase.OVER:
            looks = [each for each in self.session.pending if isinstance(each, LookUp)]
            others = [each for each in self.session.pending if not isinstance(each, LookUp)]
            if any(command.save_first for command in others):
                self.save()
            for command in others or looks:
                self.decide(self.carry_out(command, again=command in again))

    def do(self, *kinds: type) -> None:
        """Carry out what is pending of these kinds, and leave the rest pending."""
        assert self.session is not None
        for command in self.session.pending:
            if isinstance(command, kinds):
                self.decide(self.carry_out(command))

    def _take_in(self, event: MailboxEvent) -> None:
        if self.session is None:
            assert isinstance(event, CallEntered)
            self.session = machine.begin(CALL, event)
        else:
            self.decide(event)

    @property
    def record(self) -> CallRecord:
        """The record of the call, which is over."""
        assert self.session is not None
        assert self.session.phase is Phase.OVER, self.session
        return call_record(self.session)

    def count(self, kind: type) -> int:
        """How many commands of this kind were carried out."""
        return sum(isinstance(command, kind) for command in self.done)

    def carry_out(self, command: Command, *, again: bool = False) -> Outcome:
        self.now_ms += 1
        self.done.append(command)
        why = self.broken.get(type(command))
        if isinstance(why, CommandFailed):
            return replace(why, at_ms=self.now_ms, command=command)
        if why is not None:
            return CommandFailed(self.now_ms, command, why)
        match command:
            case FindRoute():
                if isinstance(self.found, Refusal):
                    return CallRefused(self.now_ms, self.found)
                return RouteChosen(self.now_ms, self.found, self.rules, self.capped_by)
            case Reserve():
                answer = self.answers.pop(0) if self.answers else Reserved(self.now_ms)
                return replace(answer, at_ms=self.now_ms)
            case CreateChannel():
                self.channels.setdefault(command.channel_id, "Down")
            case CreateBridge():
                self.bridges.add(command.bridge_id)
            case AddToBridge():
                if not all(each in self.channels for each in command.channel_ids):
                    return CommandFailed(self.now_ms, command, "400 Channel not found")
            case Dial():
                return self._dial(command, again)
            case Answer() | LimitChannel():
                gone = command.channel_id not in self.channels
                return CommandDone(self.now_ms, command, gone=gone)
            case Hangup():
                if command.channel_id not in self.channels:
                    return CommandDone(self.now_ms, command, gone=True)
                self.end(command.channel_id, soft=True)
            case DestroyBridge():
                gone = command.bridge_id not in self.bridges
                self.bridges.discard(command.bridge_id)
                return CommandDone(self.now_ms, command, gone=gone)
            case LookUp():
                known = {
                    each: self.channels[each]
                    for each in command.channel_ids
                    if each in self.channels
                }
                return Listed(self.now_ms, known, bridge=command.bridge_id in self.bridges)
        return CommandDone(self.now_ms, command)

    def _dial(self, command: Dial, again: bool) -> Outcome:
        state = self.channels.get(command.channel_id)
        if again and state in ("Ringing", "Up"):
            return CommandDone(self.now_ms, command)
        if again:
            return CommandFailed(self.now_ms, command, "not known whether it was dialled")
        if state is None:
            return CommandFailed(self.now_ms, command, "404 Channel not found")
        self.dialled.append(command.channel_id)
        if state == "Down":
            self.told.append(ChannelDialled(command.channel_id, self.now_ms))
        return CommandDone(self.now_ms, command)

    # --- What the far ends do ---

    def ring(self, channel: str) -> None:
        self.now_ms += 10
        if self.channels.get(channel) == "Down":
            self.channels[channel] = "Ringing"
            self.told.append(ChannelRinging(channel, self.now_ms))

    def progress(self, channel: str) -> None:
        self.now_ms += 10
        if self.channels.get(channel) == "Down":
            self.told.append(ChannelProgressed(channel, self.now_ms))

    def answer(self, channel: str) -> None:
        self.now_ms += 10
        if self.channels.get(channel) in ("Down", "Ringing"):
            self.channels[channel] = "Up"
            self.told.append(ChannelAnswered(channel, self.now_ms))
            if A in self.channels:
                self.channels[A] = "Up"
                self.told.append(ChannelAnswered(A, self.now_ms))

    def end(
        self,
        channel: str,
        cause: int | None = None,
        sip_code: int | None = None,
        *,
        soft: bool = False,
        silently: bool = False,
    ) -> None:
        """The channel ends. ``silently``: without a hang-up request, as TIMEOUT(absolute) does."""
        self.now_ms += 10
        if self.channels.pop(channel, None) is None:
            return
        if not silently:
            asked = HangupRequested(channel, self.now_ms, 32 if soft else cause, soft)
            self.told.append(asked)
        self.told.append(ChannelLeft(channel, self.now_ms))
        self.told.append(ChannelDestroyed(channel, self.now_ms, cause or 16, sip_code))

    @property
    def empty(self) -> bool:
        return not self.channels and not self.bridges


def routing(**changes: object) -> World:
    """A call that has begun, and nothing has been done for it."""
    world = World(**changes)  # type: ignore[arg-type]
    world.session = machine.begin(CALL, entered())
    return world


def setting_up(**changes: object) -> World:
    """A call whose route is known, and whose B leg and bridge are about to be created."""
    world = routing(**changes)
    world.do(FindRoute)
    return world


def dialling(**changes: object) -> World:
    """A call whose B leg has been dialled."""
    world = World(**changes)  # type: ignore[arg-type]
    world.hear(entered())
    world.hear_all()
    return world


def ringing(**changes: object) -> World:
    """A call whose B leg rings."""
    world = dialling(**changes)
    world.ring(b())
    world.hear_all()
    return world


def talking(**changes: object) -> World:
    """A call in which B has answered."""
    world = ringing(**changes)
    world.answer(b())
    world.hear_all()
    return world
