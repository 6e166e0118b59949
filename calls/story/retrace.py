"""Deciding a journal again: what the machine of today makes of what a call heard then.

With the code that wrote the journal it gives back every session the call ever had, every command
and the record. With newer code it shows what that would do otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from calls.errors import CallError
from calls.machine import table
from calls.machine.commands import Command, Extend, FindRoute, LookUp, Reserve
from calls.machine.events import (
    CallFound,
    CallOrdered,
    CallRefused,
    Event,
    Extended,
    LimitRefused,
    Listed,
    Reserved,
    RouteChosen,
)
from calls.machine.journal import MOST_PAGES, Page, Unread
from calls.machine.record import call_record
from calls.machine.session import Phase, Session
from calls.machine.signals import signal_of
from cdr.record import CallRecord


@dataclass(frozen=True, slots=True)
class Decision:
    """One event of a call, and what followed from it.

    ``turn`` is the worker's turn in which it was decided, ``began_ms`` when that turn began.
    ``asked_ms`` is when the command that it is the outcome of was sent off, 0 for other events.
    ``before`` is None for the event with which the call began.
    """

    number: int
    turn: str
    began_ms: int
    event: Event
    asked_ms: int
    before: Session | None
    after: Session

    @property
    def at_ms(self) -> int:
        """When it happened, in ms since the epoch."""
        return self.event.at_ms

    @property
    def signal(self) -> str:
        """The event as the table of the machine names it."""
        if self.before is None:
            return self.event.tag
        return str(signal_of(self.before, self.event))

    @property
    def rule(self) -> str:
        """The handler of the table that decided, or '' where only the fact was noted."""
        if self.before is None:
            return {CallFound: "rebuild", CallOrdered: "order"}.get(type(self.event), "begin")
        row = table.TABLE.get((self.before.phase, signal_of(self.before, self.event)))
        return row.handler.__name__ if row is not None else ""

    @property
    def asks(self) -> tuple[Command, ...]:
        """What is to be done because of it."""
        known = self.before.pending if self.before is not None else ()
        return tuple(each for each in self.after.pending if each not in known)

    @property
    def takes_back(self) -> tuple[Command, ...]:
        """What is not to be done any more because of it, but for what it is the outcome of."""
        known = self.before.pending if self.before is not None else ()
        done = getattr(self.event, "command", None)
        kind = _OUTCOME_OF.get(type(self.event), type(None))
        return tuple(
            each
            for each in known
            if each not in self.after.pending and each != done and not isinstance(each, kind)
        )


_OUTCOME_OF: dict[type, type] = {
    RouteChosen: FindRoute,
    CallRefused: FindRoute,
    Reserved: Reserve,
    Extended: Extend,
    LimitRefused: Reserve,
    Listed: LookUp,
}
"""Outcomes that do not name their command, and its kind."""


@dataclass(frozen=True, slots=True)
class Course:
    """A journal decided again. ``unread`` are the entries that this version cannot read."""

    call_id: str
    decisions: tuple[Decision, ...]
    unread: tuple[Unread, ...] = ()

    @property
    def session(self) -> Session | None:
        """The call after all of it; None when its beginning is missing."""
        return self.decisions[-1].after if self.decisions else None

    @property
    def is_over(self) -> bool:
        return self.session is not None and self.session.phase is Phase.OVER

    @property
    def record(self) -> CallRecord | None:
        """The record of a call that is over."""
        session = self.session
        return call_record(session) if session is not None and self.is_over else None


def retrace(call_id: str, pages: Iterable[Page]) -> Course:
    """Decide the journal's events in their order.

    Raises CallError when *call_id* is none; what stands in the journal never makes it raise.
    """
    decisions: list[Decision] = []
    unread: list[Unread] = []
    session: Session | None = None
    count = 0
    for count, page in enumerate(pages, start=1):  # noqa: B007 - how many there were
        for entry in page.entries:
            if isinstance(entry, Unread):
                unread.append(entry)
                continue
            after = decided(call_id, session, entry.event)
            if after is None:
                # Without its beginning nothing can be said of what an event meant.
                unread.append(Unread(repr(entry.event)))
                continue
            decisions.append(
                Decision(
                    len(decisions) + 1,
                    page.turn,
                    page.began_ms,
                    entry.event,
                    entry.asked_ms,
                    session,
                    after,
                )
            )
            session = after
    if count >= MOST_PAGES:
        unread.append(Unread(f"The journal has {count} pages, the most that are kept; more were."))
    return Course(call_id, tuple(decisions), tuple(unread))


def decided(call_id: str, session: Session | None, event: Event) -> Session | None:
    """The call after the event; None for an event of a call that has not begun."""
    if session is not None:
        return table.decide(session, event)
    try:
        return table.begun(call_id, event)
    except ValueError as error:
        raise CallError(str(error)) from error
