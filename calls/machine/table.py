"""The call machine: what a call does next, decided without any I/O and without a clock.

    decide(session, event)         -> session      its `pending` commands are what is to be done
    fold(call_id, session, events) -> session      the events that wait for a call, one by one

Rules that keep it right
  * **Facts first, then decisions.** `facts.note` notes what the event says (who is up, gone,
    ringing) in any phase; then the one handler for (phase, signal) decides, if there is one.
    No handler means: the fact is noted and nothing needs doing.
  * **Monotonic.** Events may come twice, out of order or never. A fact once noted stays; the phase
    goes back only from dialling to setup, for the next attempt.
  * **A call that is over stays over**, and a channel already known starts nothing.
  * **Commands are state.** What is pending is saved with the session; what an event made
    pointless (answering a channel that is up, ending one that is gone) is dropped from it.
  * **Doubt looks.** When something that should have been heard was not, the machine asks Asterisk
    what it holds (LookUp) and goes on from that, never from a guess.

`ROWS` is the machine, whole; docs/machine.md is drawn from it (`python -m calls.machine.diagram`).
A row reads: in these phases, on this event (of this side, or result of this command), this handler
decides, and may lead to these phases; it may always stay.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from calls.machine import (
    attempts,
    beginning,
    doubt,
    ending,
    facts,
    former,
    ordered,
    rebuilding,
    slices,
    talk,
    unheard,
)
from calls.machine.commands import (
    AddToBridge,
    Command,
    CreateBridge,
    CreateChannel,
    Dial,
    Extend,
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
    HangupAsked,
    HangupRequested,
    LimitRefused,
    Listed,
    MailboxEvent,
    Reserved,
    RouteChosen,
    begins,
)
from calls.machine.former import besides
from calls.machine.session import Phase, Session
from calls.machine.signals import Side, Signal, signal_of

E = TypeVar("E")
Handler = Callable[[Session, E], Session]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. `on` makes it, and lets mypy hold the handler to the event's class."""

    phases: tuple[Phase, ...]
    signals: tuple[Signal, ...]
    handler: Handler[Any]
    to: tuple[Phase, ...]


def on(
    phases: Phase | tuple[Phase, ...],
    events: type[E] | tuple[type[E], ...],
    handler: Handler[E],
    *,
    of: Side | type[Command] | tuple[Side | type[Command], ...] | None = None,
    to: tuple[Phase, ...] = (),
) -> Row:
    """In these phases, on these events, this handler decides."""
    abouts = of if isinstance(of, tuple) else (of,)
    kinds = events if isinstance(events, tuple) else (events,)
    return Row(
        phases if isinstance(phases, tuple) else (phases,),
        tuple(Signal(event, about) for event in kinds for about in abouts),
        handler,
        to,
    )


CALLING, ROUTING, RESERVING, SETUP, DIALLING, TALKING, ENDING, OVER = Phase
UNANSWERED = (ROUTING, RESERVING, SETUP, DIALLING)
LIVE = (CALLING, *UNANSWERED, TALKING)
SignOfLife = ChannelDialled | ChannelProgressed | ChannelRinging | ChannelAnswered
SIGNS_OF_LIFE: tuple[type[SignOfLife], ...] = (
    ChannelDialled,
    ChannelProgressed,
    ChannelRinging,
    ChannelAnswered,
)
ANY_END: tuple[type[ChannelEnd], ...] = (HangupRequested, ChannelLeft, ChannelDestroyed)

# fmt: off
ROWS = (
    # An ordered call calls its caller
    on(CALLING, CommandDone, ordered.called, of=Originate),
    on(CALLING, CommandFailed, ordered.not_called, of=Originate, to=(ENDING,)),
    on(CALLING, ChannelAnswered, ordered.answered, of=Side.A),
    on(CALLING, CallEntered, ordered.entered, to=(ROUTING, ENDING)),
    on(CALLING, ChannelLeft, unheard.caller_left, of=Side.A, to=(ENDING,)),
    on(CALLING, ChannelDestroyed, unheard.phone_left, of=Side.A, to=(ENDING,)),
    on(CALLING, Listed, unheard.phone_looked, to=(ROUTING, ENDING)),
    # How a call begins
    on(ROUTING, RouteChosen, beginning.route, to=(RESERVING, SETUP, ENDING)),
    on(ROUTING, CallRefused, beginning.refuse, to=(ENDING,)),
    # Its places among the limits
    on(RESERVING, Reserved, attempts.reserved, to=(SETUP, ENDING)),
    on(RESERVING, LimitRefused, attempts.limited, to=(ENDING,)),
    on(RESERVING, CommandFailed, attempts.cannot_reserve, of=Reserve, to=(SETUP, ENDING)),
    # An attempt is set up and dialled
    on(SETUP, CommandDone, attempts.join, of=(CreateChannel, CreateBridge)),
    on(SETUP, CommandDone, attempts.dial, of=AddToBridge, to=(DIALLING,)),
    on(SETUP, CommandFailed, attempts.no_channel, of=CreateChannel, to=(RESERVING, ENDING)),
    on((RESERVING, SETUP), CommandFailed, attempts.no_bridge, of=CreateBridge, to=(ENDING,)),
    on(SETUP, CommandFailed, attempts.look_why, of=AddToBridge),
    on(DIALLING, CommandFailed, attempts.look_why, of=Dial),
    on(SETUP, ChannelDestroyed, unheard.callee_left, of=Side.B, to=(RESERVING, ENDING)),
    on(DIALLING, ChannelDestroyed, unheard.callee_left, of=Side.B, to=(RESERVING, SETUP, ENDING)),
    # B answers, and they talk
    on((SETUP, DIALLING), ChannelAnswered, talk.answered, of=Side.B, to=(TALKING,)),
    on(TALKING, Extended, slices.extended),
    on(TALKING, CommandFailed, slices.not_extended, of=Extend),
    on(TALKING, ANY_END, talk.end_of_talk, of=Side.A, to=(ENDING,)),
    on(TALKING, ANY_END, talk.end_of_talk, of=Side.B, to=(ENDING,)),
    # They talked, and only B's end tells of it
    on((CALLING, *UNANSWERED), ANY_END, unheard.talk_ends, of=Side.FORMER_B, to=(ENDING,)),
    on((SETUP, DIALLING), HangupRequested, unheard.talk_ends, of=Side.B, to=(ENDING,)),
    on((SETUP, DIALLING), ChannelLeft, unheard.talk_ends, of=Side.B, to=(ENDING,)),
    # A comparison finds them talking in an attempt that is not remembered
    on((CALLING, *UNANSWERED), CallFound, rebuilding.caught_up, to=(TALKING, ENDING)),
    # An attempt that was given up shows that it is still there
    on(RESERVING, SIGNS_OF_LIFE, former.end_again, of=(Side.B, Side.FORMER_B)),
    on((SETUP, DIALLING, TALKING), SIGNS_OF_LIFE, former.end_again, of=Side.FORMER_B),
    # The caller leaves before an answer, or a person ends the call
    on(UNANSWERED, ANY_END, unheard.caller_left, of=Side.A, to=(ENDING,)),
    on(LIVE, HangupAsked, ending.asked, to=(ENDING,)),
    # Something was not heard: look, and go on from what is there
    on((CALLING, *UNANSWERED, ENDING), Doubted, doubt.doubt),
    on(TALKING, Doubted, doubt.doubt_in_talk, to=(ENDING,)),
    on((ROUTING, RESERVING), Listed, besides(doubt.looked_before_setup), to=(ENDING,)),
    on(SETUP, Listed, besides(doubt.looked_in_setup), to=(RESERVING, TALKING, ENDING)),
    on(DIALLING, Listed, besides(doubt.looked_while_dialling),
       to=(RESERVING, SETUP, TALKING, ENDING)),
    on(TALKING, Listed, besides(doubt.looked_while_talking), to=(ENDING,)),
    on(ENDING, Listed, doubt.looked_while_ending, to=(OVER,)),
    on((CALLING, *UNANSWERED), CommandFailed, doubt.cannot_look, of=LookUp, to=(ENDING,)),
    on((TALKING, ENDING), CommandFailed, doubt.cannot_look, of=LookUp, to=(ENDING, OVER)),
)
# fmt: on

TABLE: dict[tuple[Phase, Signal], Row] = {
    (phase, signal): row for row in ROWS for phase in row.phases for signal in row.signals
}
"""The rows as `decide` finds them."""


def decide(session: Session, event: Event) -> Session:
    """The call after *event*."""
    if session.phase is Phase.OVER:
        return session
    signal = signal_of(session, event)
    session = facts.note(session, event)
    row = TABLE.get((session.phase, signal))
    if row is not None:
        session = row.handler(session, event)
    return ending.close_if_done(former.watched(session, event.at_ms))


def begun(call_id: str, event: Event) -> Session | None:
    """The call that begins with *event*; None where none does."""
    if not begins(event):
        return None
    if isinstance(event, CallEntered):
        return beginning.begin(call_id, event)
    if isinstance(event, CallOrdered):
        return ordered.begin(call_id, event)
    return rebuilding.rebuild(call_id, event) if isinstance(event, CallFound) else None


@overload
def fold(
    call_id: str,
    session: Session,
    events: Iterable[MailboxEvent],
    decide: Callable[[Session, Event], Session] = ...,
) -> Session: ...
@overload
def fold(
    call_id: str,
    session: Session | None,
    events: Iterable[MailboxEvent],
    decide: Callable[[Session, Event], Session] = ...,
) -> Session | None: ...
def fold(
    call_id: str,
    session: Session | None,
    events: Iterable[MailboxEvent],
    decide: Callable[[Session, Event], Session] = decide,
) -> Session | None:
    """The call after these events in their order; None while it has not begun.

    Whoever reads a session and the mailbox beside it takes the events in here, so that a worker,
    the list of live calls and reconciliation see the same call. *decide* is for who does something
    at each step.
    """
    for event in events:
        session = decide(session, event) if session is not None else begun(call_id, event)
    return session


def lingers(session: Session) -> bool:
    """Whether the events that finish the call are a few milliseconds away."""
    return session.phase is Phase.ENDING and not session.pending
