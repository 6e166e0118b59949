"""How the machine's table names an event: by its class, and by what in the call it is about."""

from enum import StrEnum
from typing import Any, NamedTuple

from calls.machine.commands import Command
from calls.machine.events import (
    CallEntered,
    CallFound,
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
    Reserved,
    RouteChosen,
)
from calls.machine.session import Session


class Side(StrEnum):
    """Whose channel an event is about."""

    A = "a"
    B = "b"
    """The current attempt's."""
    FORMER_B = "former b"


class Signal(NamedTuple):
    """An event as the table sees it.

    ``about`` is the side for an event of a channel, the command's class for a result of one,
    None for what concerns the call as a whole.
    """

    event: type[Any]
    about: Side | type[Command] | None = None

    def __str__(self) -> str:
        """Its name in the diagram and in a call's story: ``b answered``, ``done dial``."""
        if isinstance(self.about, Side):
            return f"{self.about} {self.event.tag}"
        if self.about is not None:
            return f"{self.event.tag} {self.about.tag}"
        return str(self.event.tag)


_OF_THE_CALL = (
    Listed,
    RouteChosen,
    CallRefused,
    Reserved,
    LimitRefused,
    Extended,
    HangupAsked,
    Doubted,
    CallEntered,
    CallOrdered,
    CallFound,
)


def signal_of(session: Session, event: Event) -> Signal:
    """What this event is to this call now."""
    if isinstance(event, CommandDone | CommandFailed):
        return Signal(type(event), type(event.command))
    if isinstance(event, _OF_THE_CALL):
        return Signal(type(event))
    return Signal(type(event), side_of(session, event.channel_id))


def side_of(session: Session, channel_id: str) -> Side:
    """Whose channel this is, among those of the call."""
    if channel_id == session.a_channel:
        return Side.A
    leg = session.leg
    return Side.B if leg is not None and leg.channel_id == channel_id else Side.FORMER_B
