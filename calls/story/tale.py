"""The tale of a call: who was in it, and everything that passed between them, in order of time.

Times are of two clocks, Asterisk's for what it said and the workers' for what they did. Where the
order of things shows that these differ, the workers' are moved (calls/story/clocks.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from calls.machine import table
from calls.machine.commands import Command, Extend, LookUp, Release, Reserve
from calls.machine.events import (
    CallOrdered,
    CallRefused,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    Extended,
    HangupAsked,
    LimitRefused,
    Listed,
    MailboxEvent,
    Reserved,
    RouteChosen,
)
from calls.machine.session import Phase, Session
from calls.story.clocks import by_one_clock
from calls.story.retrace import Course, Decision
from calls.story.sentence import seconds
from calls.story.sip import SipMessage
from calls.story.sip_order import in_order
from calls.story.words import command_words, event_words

GAP_MS = 1_000
"""A pause at least this long is shown as one."""
LATE_MS = 500
"""An event that waits longer than this for a worker has waited."""

CALLER = "caller"
ASTERISK = "Asterisk"
RINGMASTER = "Ringmaster"


class Kind(StrEnum):
    """What an item is."""

    SIP = "sip"
    EVENT = "event"
    COMMAND = "command"
    DECISION = "decision"
    LIMIT = "limit"
    PERSON = "person"
    DOUBT = "doubt"
    TURN = "turn"
    GAP = "gap"
    RECORD = "record"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on the ladder. An arrow has a ``source`` and a ``target``; a note has only a
    ``source``, the line it stands on. ``decision`` is the number of the decision it belongs to."""

    at_ms: int
    kind: Kind
    source: str
    target: str
    text: str
    detail: str = ""
    bad: bool = False
    decision: int = 0


@dataclass(frozen=True, slots=True)
class Tale:
    """All of a call, in order of time."""

    call_id: str
    started_ms: int
    lines: tuple[str, ...]
    items: tuple[Item, ...]


def tell(
    course: Course,
    sip: Iterable[SipMessage] = (),
    waiting: Sequence[MailboxEvent] = (),
    recorded: str = "",
) -> Tale:
    """The tale of a course.

    ``waiting`` are the events that no worker has attended to yet; ``recorded`` says what became of
    the record, or ''.
    """
    messages = in_order(sip)
    course = by_one_clock(course)
    traced = {message.call_id for message in messages}
    teller = _Teller(course, traced, _own_ends(course, messages))
    for decision in course.decisions:
        teller.decision(decision)
    teller.waiting(waiting)
    for message in messages:
        teller.message(message)
    for unread in course.unread:
        teller.unread(unread.text)
    teller.record(recorded)
    items = sorted(teller.items, key=lambda item: item.at_ms)
    started_ms = min((item.at_ms for item in items), default=0)
    return Tale(course.call_id, started_ms, teller.lines, tuple(_with_gaps(items)))


def _with_gaps(items: Sequence[Item]) -> Iterable[Item]:
    before: Item | None = None
    for item in items:
        if before is not None and item.at_ms - before.at_ms >= GAP_MS:
            span = seconds(item.at_ms - before.at_ms)
            yield Item(before.at_ms, Kind.GAP, "", "", f"{span} later")
        yield item
        before = item


@dataclass
class _Teller:
    course: Course
    traced: set[str]
    """Call-IDs of the legs whose SIP was caught: their lines talk SIP to Asterisk."""
    own_ends: frozenset[str]
    """Addresses at which Asterisk itself speaks SIP in this call."""
    items: list[Item] = field(default_factory=list)
    _turn: str = ""
    _sent: set[Command] = field(default_factory=set)

    @property
    def lines(self) -> tuple[str, ...]:
        """Who was in it: the caller, Asterisk, Ringmaster, and each trunk that was called, once."""
        session = self.course.session
        legs = session.legs if session is not None else ()
        trunks = dict.fromkeys(leg.trunk for leg in legs if leg.channel_id)
        return (CALLER, ASTERISK, RINGMASTER, *trunks)

    # --- The journal ---

    def decision(self, decision: Decision) -> None:
        self._turn_of(decision)
        event = decision.event
        match event:
            case CommandDone() | CommandFailed():
                self._command(decision, event)
            case RouteChosen() | CallRefused():
                self._route(decision, event)
            case Reserved() | LimitRefused() | Extended():
                skipped = event.skipped if isinstance(event, Reserved) else ()
                bad = isinstance(event, LimitRefused) or bool(skipped)
                self._note(decision, Kind.LIMIT, event_words(event), bad=bad)
            case Listed():
                self._note(decision, Kind.DOUBT, event_words(event))
            case Doubted():
                self._note(decision, Kind.DOUBT, event_words(event), bad=True)
            case CallOrdered() | HangupAsked():
                self._note(decision, Kind.PERSON, event_words(event))
            case _:
                self._event(decision, event)
        before = decision.before.phase if decision.before else None
        if decision.after.phase is not before and decision.before is not None:
            self._phase(decision)

    def _turn_of(self, decision: Decision) -> None:
        if decision.turn == self._turn:
            return
        first, self._turn = not self._turn, decision.turn
        left = decision.before.pending if decision.before else ()
        at_ms = decision.began_ms or decision.at_ms
        if left:
            todo = ", ".join(command_words(each) for each in left)
            text = "another worker takes over"
            self._add(
                at_ms, Kind.TURN, text, f"Left to do by the one before: {todo}.", True, decision
            )
        waited_ms = at_ms - decision.at_ms
        if waited_ms > LATE_MS and not decision.asked_ms:
            text = f"waited {seconds(waited_ms)} for a worker"
            self._add(at_ms, Kind.TURN, text, f"Turn {decision.turn}.", True, decision)
        elif not left and first:
            self._add(at_ms, Kind.TURN, "a worker takes the call", decision.turn, False, decision)

    def _command(self, decision: Decision, event: CommandDone | CommandFailed) -> None:
        command = event.command
        asked_ms = decision.asked_ms or event.at_ms
        took = f"{event.at_ms - asked_ms} ms"
        again = "again: " if command in self._sent else ""
        self._sent.add(command)
        bad, reason = False, ""
        if isinstance(event, CommandFailed):
            bad, reason, result = True, event.reason, f"failed, {took}"
        else:
            result = f"was gone, {took}" if event.gone else took
        about = self._about(getattr(command, "channel_id", ""), command_words(command))
        text = f"{again}{about} ({result})"
        if isinstance(command, Reserve | Extend | Release):
            self._add(asked_ms, Kind.LIMIT, text, reason, bad, decision)
            return
        target = self._line_of(getattr(command, "channel_id", ""))
        self.items.append(
            Item(
                asked_ms,
                Kind.COMMAND,
                RINGMASTER,
                ASTERISK if isinstance(command, LookUp) else target,
                text,
                reason,
                bad,
                decision.number,
            )
        )

    def _route(self, decision: Decision, event: RouteChosen | CallRefused) -> None:
        steps = event.plan.steps if isinstance(event, RouteChosen) else event.refusal.steps
        detail = "\n".join(
            " ".join(part for part in (step.topic, step.subject, step.mark, step.detail) if part)
            for step in steps
        )
        refused = isinstance(event, CallRefused)
        self._add(event.at_ms, Kind.DECISION, event_words(event), detail, refused, decision)

    def _event(self, decision: Decision, event: Event) -> None:
        self.items.append(
            Item(
                event.at_ms,
                Kind.EVENT,
                self._line_of(getattr(event, "channel_id", "")),
                RINGMASTER,
                self._about(getattr(event, "channel_id", ""), event_words(event)),
                decision.signal,
                False,
                decision.number,
            )
        )

    def _phase(self, decision: Decision) -> None:
        session = decision.after
        text = f"now {session.phase}"
        why = ""
        if session.phase is Phase.ENDING:
            why = session.reason or f"{session.disposition}, ended by {session.ended_by}"
            text = f"ends: {why}"
        asks = ", ".join(command_words(each) for each in decision.asks)
        detail = f"{decision.rule}: {asks}" if asks else decision.rule
        self._add(decision.at_ms, Kind.DECISION, text, detail, False, decision)

    def _note(self, decision: Decision, kind: Kind, text: str, bad: bool = False) -> None:
        self._add(decision.at_ms, kind, text, decision.rule, bad, decision)

    def _add(
        self, at_ms: int, kind: Kind, text: str, detail: str, bad: bool, decision: Decision
    ) -> None:
        self.items.append(Item(at_ms, kind, RINGMASTER, "", text, detail, bad, decision.number))

    # --- What is beside the journal ---

    def waiting(self, events: Sequence[MailboxEvent]) -> None:
        for event in events:
            line = self._line_of(getattr(event, "channel_id", ""))
            words = self._about(getattr(event, "channel_id", ""), event_words(event))
            text = f"{words} (not attended to yet)"
            self.items.append(Item(event.at_ms, Kind.EVENT, line, RINGMASTER, text))

    def message(self, message: SipMessage) -> None:
        line = self._line_of_sip(message.call_id)
        source, target = (ASTERISK, line) if message.source in self.own_ends else (line, ASTERISK)
        bad = message.code is not None and message.code >= 400 and message.code not in (401, 407)
        self.items.append(
            Item(message.at_ms, Kind.SIP, source, target, message.name, message.text, bad)
        )

    def unread(self, text: str) -> None:
        at_ms = self.items[-1].at_ms if self.items else 0
        self.items.append(
            Item(at_ms, Kind.UNREAD, RINGMASTER, "", "an entry that cannot be read", text, True)
        )

    def record(self, recorded: str) -> None:
        session = self.course.session
        if not recorded or session is None or not self.items:
            return
        at_ms = max(item.at_ms for item in self.items)
        self.items.append(Item(at_ms, Kind.RECORD, RINGMASTER, "", recorded))

    # --- Whose line ---

    def _line_of(self, channel_id: str) -> str:
        """The line of whom a channel belongs to; Asterisk's where its SIP tells the rest."""
        session = self.course.session
        if session is None or not channel_id:
            return ASTERISK
        if channel_id == session.a_channel:
            return ASTERISK if session.a_sip_call_id in self.traced else CALLER
        for leg in session.legs:
            if leg.channel_id == channel_id:
                return ASTERISK if leg.sip_call_id in self.traced else leg.trunk
        return ASTERISK

    def _about(self, channel_id: str, words: str) -> str:
        """The words, with whom they are about where the arrow does not tell."""
        session = self.course.session
        if session is None or self._line_of(channel_id) != ASTERISK:
            return words
        if channel_id == session.a_channel:
            return f"{CALLER}: {words}"
        trunk = next((leg.trunk for leg in session.legs if leg.channel_id == channel_id), "")
        return f"{trunk}: {words}" if trunk else words

    def _line_of_sip(self, sip_call_id: str) -> str:
        session = self.course.session
        if session is None or sip_call_id == session.a_sip_call_id:
            return CALLER
        return next((leg.trunk for leg in session.legs if leg.sip_call_id == sip_call_id), CALLER)


def _own_ends(course: Course, messages: Iterable[SipMessage]) -> frozenset[str]:
    """Where Asterisk is: what A's INVITE is sent to, and what those of the others come from."""
    session = course.session
    of_a = session.a_sip_call_id if session is not None else ""
    ends, known = set(), set()
    for message in messages:
        # Only a leg's first: a later one may come from either side.
        if message.method == "INVITE" and message.call_id not in known:
            known.add(message.call_id)
            ends.add(message.target if message.call_id == of_a else message.source)
    return frozenset(ends)


def with_waiting(course: Course, waiting: Iterable[MailboxEvent]) -> Session | None:
    """The session as it will be once the waiting events have been attended to."""
    return table.fold(course.call_id, course.session, waiting)
