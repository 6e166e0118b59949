"""A pure Asterisk for the machine's tests: it obeys commands, and tells what happened in events.

It is not the ARI double (that one speaks HTTP); it is the least that has channels and bridges.
"""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ari_bridge.heard import Heard
from calls.limits.rules import Metric, Rule
from calls.machine import table
from calls.machine.beginning import begin
from calls.machine.commands import (
    AddToBridge,
    Answer,
    Command,
    CreateBridge,
    CreateChannel,
    DestroyBridge,
    Dial,
    Extend,
    FindRoute,
    Hangup,
    LimitChannel,
    LookUp,
    Originate,
    Reserve,
)
from calls.machine.events import (
    CallEntered,
    CallFound,
    CallOrdered,
    CallRefused,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelEnd,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    Extended,
    HangupRequested,
    LimitRefused,
    Listed,
    MailboxEvent,
    Reserved,
    Result,
    RouteChosen,
)
from calls.machine.pending import must_be_saved
from calls.machine.record import call_record
from calls.machine.session import Phase, Session, from_json, to_json
from calls.machine.signals import Signal, signal_of
from calls.routing.choice import Plan, Refusal, Target
from cdr.record import CallRecord

A = "1763900000.1"
CALL = f"demo:{A}"
BRIDGE = f"{A}.br"


def b(number: int = 1) -> str:
    return f"{A}.b{number}"


def entered(at_ms: int = 1_000, dialled: str = "33123", **changes: Any) -> CallEntered:
    facts: dict[str, Any] = {
        "channel_name": "PJSIP/alice-00000001",
        "caller_number": "4930100",
        "caller_name": "Alice",
        "account_code": "acme",
    }
    return CallEntered(channel_id=A, at_ms=at_ms, dialled=dialled, **(facts | changes))


def ordered(at_ms: int = 1_000, phone: str = "alice", **changes: Any) -> CallOrdered:
    """An order of a call; its caller's channel is still to be made."""
    facts: dict[str, Any] = {
        "account_code": "acme",
        "dialled": "33123",
        "caller_number": "4930100",
        "by": "token crm",
    }
    return CallOrdered(channel_id=A, at_ms=at_ms, phone=phone, **(facts | changes))


def target(trunk: str = "carrier-a", **changes: Any) -> Target:
    facts: dict[str, Any] = {"callee": "33123", "caller": "4930100", "ring_timeout_s": 30}
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


def rule(metric: str = "concurrent", **changes: Any) -> Rule:
    facts: dict[str, Any] = {"subject": "account:acme", "value": 3, "enforce": True}
    name = f"account acme: 3 {metric}"
    return Rule(metric=Metric(metric), name=name, **(facts | changes))


class Died(Exception):
    """The worker was killed in the middle of its turn."""


@dataclass
class World:
    """Asterisk's side of one call, the clock, and the engine's loop without its I/O."""

    found: Plan | Refusal = field(default_factory=plan)
    rules: tuple[Rule, ...] | None = None
    """The limits of the call; None: it has none."""
    capped_by: str = ""
    answers: list[Reserved | LimitRefused] = field(default_factory=list)
    """What the counters say to each attempt; there is room where nothing is left to say."""
    more: list[Extended] = field(default_factory=list)
    """What they say to a call that asks for more minutes; none are left where nothing is."""
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
    unanswered: set[str] = field(default_factory=set)
    """Phones that are called for an order and not answered: of their being in Stasis the bridge
    says nothing."""
    heard: Heard = field(default_factory=Heard)
    """What a listener remembers; another one that takes over remembers nothing."""
    session: Session | None = None
    saved: bytes = b""
    """The session as it would lie in Redis now."""
    unsaved: list[MailboxEvent] = field(default_factory=list)
    """Events taken in since then: the mailbox still has them."""
    alone: bool = False
    """Whether something was decided since then on what the mailbox does not tell."""
    lives: list[int] = field(default_factory=list)
    """After how many commands each worker dies; the last lives on."""

    taken: ClassVar[set[tuple[Phase, Signal, Phase]]] = set()
    """The steps that any world has taken: phase, signal, phase after it."""

    # --- What the engine does ---

    def save(self) -> None:
        assert self.session is not None
        self.saved, self.unsaved, self.alone = to_json(self.session), [], False

    def die_and_come_back(self) -> None:
        """The worker dies; another begins with what was saved and the events that were not."""
        self.session, self.alone = from_json(self.saved) if self.saved else None, False
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
        self.decide(Doubted(self.now_ms))
        self.alone = True
        self.work()

    def decide(self, event: Event) -> None:
        """One step of the machine, which may lead only where its table says."""
        before = self.session
        assert before is not None
        key = (before.phase, signal_of(before, event))
        self.session = table.decide(before, event)
        to: tuple[Phase, ...] = ()
        if key in table.TABLE:
            to = table.TABLE[key].to
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
            todo = tuple(others or looks)
            if must_be_saved(todo, self._saved_pending(), self.alone):
                self.save()
            for command in todo:
                result = self.carry_out(command, again=command in again)
                self._live_on()
                self.decide(result)
                self.alone = True

    def _saved_pending(self) -> tuple[Command, ...]:
        return from_json(self.saved).pending if self.saved else ()

    def _live_on(self) -> None:
        if self.lives:
            self.lives[0] -= 1
            if not self.lives[0]:
                del self.lives[0]
                raise Died

    def do(self, *kinds: type) -> None:
        """Carry out what is pending of these kinds, and leave the rest pending."""
        assert self.session is not None
        for command in self.session.pending:
            if isinstance(command, kinds):
                self.decide(self.carry_out(command))

    def _take_in(self, event: MailboxEvent) -> None:
        if self.session is None:
            self.session = table.fold(CALL, None, [event])
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

    def carry_out(self, command: Command, *, again: bool = False) -> Result:
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
            case Extend(have_s=have_s):
                more = self.more.pop(0) if self.more else Extended(self.now_ms, have_s, "")
                return replace(more, at_ms=self.now_ms)
            case CreateChannel():
                existed = command.channel_id in self.channels
                self.channels.setdefault(command.channel_id, "Down")
                return CommandDone(self.now_ms, command, existed=existed)
            case Originate():
                return self._originate(command, again)
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

    def _originate(self, command: Originate, again: bool) -> Result:
        channel = command.channel_id
        if channel in self.channels:
            return CommandDone(self.now_ms, command, existed=True)
        if again and command.endpoint:
            return CommandFailed(self.now_ms, command, "not known whether it rang", unknown=True)
        self.channels[channel] = "Down"
        if command.endpoint:
            self.unanswered.add(channel)
            self.dialled.append(channel)
            self.told.append(ChannelDialled(channel, self.now_ms))
        else:
            self.told.append(self.entering(up=False))
        return CommandDone(self.now_ms, command)

    def entering(self, **changes: Any) -> CallEntered:
        """The caller of an ordered call is there, having dialled nothing."""
        return entered(self.now_ms, dialled="", caller_number="", caller_name="", **changes)

    def _dial(self, command: Dial, again: bool) -> Result:
        state = self.channels.get(command.channel_id)
        if (again or command.look_first) and state in ("Ringing", "Up"):
            return CommandDone(self.now_ms, command)
        if again or command.look_first:
            return CommandFailed(self.now_ms, command, "not known whether it was dialled")
        if state is None:
            return CommandFailed(self.now_ms, command, "404 Channel not found")
        self.dialled.append(command.channel_id)
        if state == "Down":
            self.told.append(ChannelDialled(command.channel_id, self.now_ms))
        return CommandDone(self.now_ms, command)

    # --- What a comparison finds when nobody remembers the call ---

    def as_found(self, answered_ms: int | None = None) -> CallFound:
        self.now_ms += 100
        made = [each for each in self.done if isinstance(each, CreateChannel | Originate)]
        left = [each.digest for each in made if isinstance(each, CreateChannel)]
        called = [each.digest for each in made if isinstance(each, Originate)]
        prefix = f"{A}.b"
        legs = tuple(
            (int(name.removeprefix(prefix)), state)
            for name, state in self.channels.items()
            if name.startswith(prefix)
        )
        present = A in self.channels and A not in self.unanswered
        if not (legs or self.bridges):
            left = called
        return CallFound(
            A,
            self.now_ms,
            present=present,
            up=self.channels.get(A) == "Up",
            started_ms=1_000 if present else 0,
            channel_name="PJSIP/alice-00000001" if present else "",
            dialled="33123" if present and not called else "",
            caller_number="4930100" if present else "",
            caller_name="Alice" if present else "",
            account_code="acme" if present else "",
            legs=legs,
            bridge=bool(self.bridges),
            digest=left[-1] if left else "",
            answered_ms=answered_ms,
            phone=self.channels[A] if A in self.unanswered and A in self.channels else "",
        )

    def forget(self, answered_ms: int | None = None) -> None:
        """Redis loses the call, and a comparison finds what there is of it."""
        self.session, self.saved, self.unsaved, self.told = None, b"", [], []
        self.hear(self.as_found(answered_ms))
        self.hear_all()

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
            self.heard.note(ChannelAnswered(channel, self.now_ms))

    def pick_up(self) -> None:
        """The caller of an ordered call answers: told in this order."""
        self.now_ms += 10
        if self.channels.get(A) in ("Down", "Ringing"):
            self.channels[A] = "Up"
            self.unanswered.discard(A)
            self.told.append(ChannelAnswered(A, self.now_ms))
            self.told.append(self.entering(up=True))

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
        state = self.channels.pop(channel, None)
        if state is None:
            return
        up, ends = state == "Up", list[ChannelEnd]()
        if not silently:
            asked = HangupRequested(channel, self.now_ms, 32 if soft else cause, soft, up=up)
            ends.append(asked)
        if channel not in self.unanswered:
            ends.append(ChannelLeft(channel, self.now_ms, up=up))
        ends.append(ChannelDestroyed(channel, self.now_ms, cause or 16, sip_code, up=up))
        self.told += map(self.heard.note, ends)

    @property
    def empty(self) -> bool:
        return not self.channels and not self.bridges


def routing(**changes: Any) -> World:
    """A call that has begun, and nothing has been done for it."""
    world = World(**changes)
    world.session = begin(CALL, entered())
    return world


def calling(phone: str = "alice", **changes: Any) -> World:
    """An ordered call whose caller is being called."""
    world = World(channels={}, **changes)
    world.hear(ordered(phone=phone))
    world.hear_all()
    return world


def setting_up(**changes: Any) -> World:
    """A call whose route is known, and whose B leg and bridge are about to be created."""
    world = routing(**changes)
    world.do(FindRoute)
    return world


def dialling(**changes: Any) -> World:
    """A call whose B leg has been dialled."""
    world = World(**changes)
    world.hear(entered())
    world.hear_all()
    return world


def ringing(**changes: Any) -> World:
    """A call whose B leg rings."""
    world = dialling(**changes)
    world.ring(b())
    world.hear_all()
    return world


def talking(**changes: Any) -> World:
    """A call in which B has answered."""
    world = ringing(**changes)
    world.answer(b())
    world.hear_all()
    return world
