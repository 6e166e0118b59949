"""What would have followed, had something else happened: a call decided on from any of its events.

From there on Asterisk is a willing one: what it is asked for it does, a millisecond each, and what
is hung up is gone. It goes on until the call waits for something from outside (a trunk that
answers, a caller who hangs up) or is over. Nothing is dialled, saved or counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from calls import causes
from calls.machine import table
from calls.machine.commands import (
    Command,
    DestroyBridge,
    Dial,
    Extend,
    FindRoute,
    Hangup,
    LookUp,
    Reserve,
)
from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelRinging,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    Extended,
    HangupAsked,
    HangupRequested,
    LimitRefused,
    Listed,
    Reserved,
)
from calls.machine.session import Phase, Session
from calls.story.retrace import Course, Decision
from calls.story.words import command_words

MOST = 200
"""Decisions after which a fork is given up: the machine would be going in circles."""
BY_CODE = {
    403: causes.REJECTED,
    404: causes.UNALLOCATED,
    408: 102,
    480: causes.NO_ANSWER,
    486: causes.USER_BUSY,
    500: 38,
    503: causes.CONGESTION,
    603: causes.REJECTED,
}
"""SIP codes that a trunk may be let answer, with the causes that chan_pjsip makes of them."""
TURN = "fork"


class What(StrEnum):
    """What else may happen, besides a trunk's answer with one of `BY_CODE`."""

    RINGS = "rings"
    ANSWERS = "answers"
    TIMES_OUT = "times out"
    HANGS_UP = "hangs up"
    CALLER_LEAVES = "caller leaves"
    ASKED = "hung up"
    COMMAND_FAILS = "command fails"
    LIMIT_REACHED = "limit reached"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that could happen now: ``key`` names it in an address, ``words`` to people."""

    key: str
    words: str


@dataclass(frozen=True, slots=True)
class Fork:
    """What would have followed; ``choices`` is what could happen next."""

    decisions: tuple[Decision, ...]
    session: Session
    choices: tuple[Choice, ...]

    @property
    def is_over(self) -> bool:
        return self.session.phase is Phase.OVER


def choices(session: Session) -> tuple[Choice, ...]:
    """What could happen to the call as it is."""
    if session.phase is Phase.OVER:
        return ()
    found = []
    if session.phase is Phase.RESERVING:
        found.append(Choice(What.LIMIT_REACHED, "a limit is reached"))
    if session.pending:
        words = command_words(session.pending[0])
        found.append(Choice(What.COMMAND_FAILS, f"Asterisk refuses to {words}"))
    leg = session.leg
    if leg is not None and not leg.gone and session.phase in (Phase.SETUP, Phase.DIALLING):
        found += [Choice(str(code), f"{leg.trunk} answers {code}") for code in BY_CODE]
        found.append(Choice(What.RINGS, f"{leg.trunk} rings"))
        found.append(Choice(What.ANSWERS, f"{leg.trunk} answers the call"))
        found.append(Choice(What.TIMES_OUT, f"{leg.trunk} does not answer in time"))
    if leg is not None and not leg.gone and session.phase is Phase.TALKING:
        found.append(Choice(What.HANGS_UP, "the callee hangs up"))
    if not session.a_gone:
        found.append(Choice(What.CALLER_LEAVES, "the caller hangs up"))
        found.append(Choice(What.ASKED, "somebody hangs the call up"))
    found.append(Choice(What.SILENCE, "nothing more is heard, and Asterisk has lost the call"))
    return tuple(found)


def fork(course: Course, number: int, keys: Sequence[str]) -> Fork | None:
    """What would have followed, had ``keys[0]`` happened in place of decision *number*, and then
    the others one after the other. None where there is no such decision, or nothing before it."""
    at = next((each for each in course.decisions if each.number == number), None)
    if at is None or at.before is None:
        return None
    way = _Way(course.call_id, at.before, at.at_ms)
    for key in keys:
        if way.session.phase is Phase.OVER:
            break
        if key in {choice.key for choice in choices(way.session)}:
            way.happens(key)
            way.settle()
    return Fork(tuple(way.decisions), way.session, choices(way.session))


class _Way:
    """The call on its other way."""

    def __init__(self, call_id: str, session: Session, now_ms: int) -> None:
        self.session = session
        self.decisions: list[Decision] = []
        self._call_id = call_id
        self._now_ms = now_ms
        self._lost = False

    def happens(self, key: str) -> None:
        """Decide what the key says."""
        if key != What.COMMAND_FAILS:
            # What was under way when it happened has been done.
            self._do_all(keep=(Reserve,) if key == What.LIMIT_REACHED else ())
        for event in self._events(key):
            self._decide(event)

    def settle(self) -> None:
        """Let Asterisk do what it is asked for, until the call waits or is over."""
        while self.session.pending and self.session.phase is not Phase.OVER:
            if len(self.decisions) > MOST:
                return
            self._do(self.session.pending[0])

    def _do_all(self, keep: tuple[type, ...]) -> None:
        for command in self.session.pending:
            if command in self.session.pending and not isinstance(command, (*keep, Dial)):
                self._do(command)
        for command in self.session.pending:
            if isinstance(command, Dial):
                self._do(command)

    def _decide(self, event: Event, asked_ms: int = 0) -> None:
        after = table.decide(self.session, event)
        self.decisions.append(
            Decision(
                len(self.decisions) + 1,
                TURN,
                self._now_ms,
                event,
                asked_ms,
                self.session,
                after,
            )
        )
        self.session = after

    def _tick(self, ms: int = 1) -> int:
        self._now_ms += ms
        return self._now_ms

    def _events(self, key: str) -> Sequence[Event]:
        session, leg = self.session, self.session.leg
        b = leg.channel_id if leg is not None else ""
        now_ms = self._tick()
        match key:
            case What.COMMAND_FAILS:
                return (CommandFailed(now_ms, session.pending[0], "refused, for this question"),)
            case What.LIMIT_REACHED:
                rule = next((each.name for each in session.rules or ()), "a limit")
                return (LimitRefused(now_ms, rule),)
            case What.RINGS:
                return (ChannelDialled(b, now_ms), ChannelRinging(b, now_ms))
            case What.ANSWERS:
                both = (ChannelAnswered(b, now_ms), ChannelAnswered(session.a_channel, now_ms))
                return (ChannelDialled(b, now_ms), *both)
            case What.TIMES_OUT:
                ring_ms = 1000 * leg.ring_timeout_s if leg is not None else 0
                now_ms = self._tick(ring_ms)
                return (HangupRequested(b, now_ms, 32, soft=True), ChannelDestroyed(b, now_ms, 19))
            case What.HANGS_UP:
                return (HangupRequested(b, now_ms), ChannelDestroyed(b, now_ms, 16, 200))
            case What.CALLER_LEAVES:
                a = session.a_channel
                return (HangupRequested(a, now_ms), ChannelDestroyed(a, now_ms, 16))
            case What.ASKED:
                return (HangupAsked(now_ms, "somebody"),)
            case What.SILENCE:
                self._lost = True
                return (Doubted(max(now_ms, session.wake_ms)),)
        code = int(key)
        cause = BY_CODE[code]
        ended = ChannelDestroyed(b, now_ms, cause, code)
        return (ChannelDialled(b, now_ms), HangupRequested(b, now_ms, cause), ended)

    def _do(self, command: Command) -> None:
        asked_ms = self._now_ms
        now_ms = self._tick()
        match command:
            case Reserve():
                self._decide(Reserved(now_ms), asked_ms)
            case Extend():
                self._decide(Extended(now_ms, command.have_s, ""), asked_ms)
            case LookUp():
                there = {} if self._lost else self._channels()
                self._decide(Listed(now_ms, there, bridge=not self._lost), asked_ms)
            case FindRoute():
                # Where it went is on the other way; without it nobody can say.
                failed = CommandFailed(now_ms, command, "no route is looked up for this question")
                self._decide(failed, asked_ms)
            case _:
                gone = self._lost and isinstance(command, Hangup | DestroyBridge)
                self._decide(CommandDone(now_ms, command, gone=gone), asked_ms)
        if isinstance(command, Hangup) and not self._lost:
            self._decide(ChannelDestroyed(command.channel_id, self._tick(), command.cause))

    def _channels(self) -> dict[str, str]:
        found = {} if self.session.a_gone else {self.session.a_channel: "Ring"}
        for leg in self.session.legs:
            if leg.channel_id and not leg.gone:
                state = "Ringing" if leg.ringing_ms is not None else "Down"
                found[leg.channel_id] = "Up" if leg.answered_ms is not None else state
        return found
