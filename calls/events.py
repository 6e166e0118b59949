"""What can happen to a call.

Events are frozen values. Those from Asterisk lie in the call's mailbox in Redis as a small JSON
array (`encode`, `decode`); the outcomes of commands live only inside one worker's turn.

Every ``at_ms`` is in milliseconds since the Unix epoch: Asterisk's own timestamp where the event
came from Asterisk, the worker's clock for outcomes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

import orjson

from calls import ids
from calls.commands import Command
from calls.errors import CallError
from calls.limit_rules import Rule, Skip
from calls.routing import Plan, Refusal


class Urgency(IntEnum):
    """How soon a worker should look at a mailbox because of an event."""

    LATER = 0
    """It only adds a fact: whoever comes next reads it."""
    SOON = 1
    """Another event will normally follow in milliseconds; the sweeper looks if none does."""
    NOW = 2
    """Something must be done: nudge a worker."""


@dataclass(frozen=True, slots=True)
class CallEntered:
    """A caller's channel entered Stasis (StasisStart of a channel that we did not create)."""

    tag: ClassVar[str] = "entered"
    urgency: ClassVar[Urgency] = Urgency.NOW
    channel_id: str
    at_ms: int
    channel_name: str
    dialled: str
    caller_number: str
    caller_name: str
    account_code: str
    up: bool = False
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class ChannelDialled:
    """Asterisk began to dial the channel (Dial with an empty dialstatus)."""

    tag: ClassVar[str] = "dialled"
    urgency: ClassVar[Urgency] = Urgency.LATER
    channel_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ChannelProgressed:
    """Early media: SIP 183 (Dial PROGRESS)."""

    tag: ClassVar[str] = "progressed"
    urgency: ClassVar[Urgency] = Urgency.LATER
    channel_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ChannelRinging:
    """The far end rings: SIP 180."""

    tag: ClassVar[str] = "ringing"
    urgency: ClassVar[Urgency] = Urgency.LATER
    channel_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ChannelAnswered:
    """The channel is Up. For B this begins the talk; for A Asterisk does it by itself."""

    tag: ClassVar[str] = "answered"
    channel_id: str
    at_ms: int

    @property
    def urgency(self) -> Urgency:
        """B's answer must be acted on; A's only follows it."""
        return Urgency.NOW if ids.is_created_by_us(self.channel_id) else Urgency.LATER


@dataclass(frozen=True, slots=True)
class HangupRequested:
    """Somebody hung the channel up.

    ``cause`` is Q.850 and is absent for a plain BYE. With ``soft`` it is 32, a flag of Asterisk's
    and no cause: the switch itself (dial timeout, a DELETE) ended the channel.
    """

    tag: ClassVar[str] = "hangup"
    channel_id: str
    at_ms: int
    cause: int | None = None
    soft: bool = False

    @property
    def urgency(self) -> Urgency:
        """With a cause ChannelDestroyed follows at once and says more; a BYE must be acted on."""
        return Urgency.NOW if self.cause is None else Urgency.SOON


@dataclass(frozen=True, slots=True)
class ChannelLeft:
    """The channel left Stasis (StasisEnd). For a channel we are not subscribed to, the only end."""

    tag: ClassVar[str] = "left"
    channel_id: str
    at_ms: int

    @property
    def urgency(self) -> Urgency:
        """B's is followed by its ChannelDestroyed; for A of a refused call nothing follows."""
        return Urgency.SOON if ids.is_created_by_us(self.channel_id) else Urgency.NOW


@dataclass(frozen=True, slots=True)
class ChannelDestroyed:
    """The channel is no more. ``cause`` is Q.850, ``sip_code`` Asterisk's tech_cause (22.7+)."""

    tag: ClassVar[str] = "destroyed"
    urgency: ClassVar[Urgency] = Urgency.NOW
    channel_id: str
    at_ms: int
    cause: int | None = None
    sip_code: int | None = None


@dataclass(frozen=True, slots=True)
class HangupAsked:
    """A person asked for the end of the call; ``by`` is their name, for the record."""

    tag: ClassVar[str] = "asked"
    urgency: ClassVar[Urgency] = Urgency.NOW
    at_ms: int
    by: str


@dataclass(frozen=True, slots=True)
class Doubted:
    """What Asterisk lists does not fit what we remember, or nothing was heard for too long."""

    tag: ClassVar[str] = "doubted"
    urgency: ClassVar[Urgency] = Urgency.NOW
    at_ms: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Outcome of LookUp: what Asterisk holds of this call now. ``channels``: id → state."""

    at_ms: int
    channels: dict[str, str]
    bridge: bool


@dataclass(frozen=True, slots=True)
class RouteChosen:
    """Outcome of FindRoute: where the call may go.

    ``rules`` are the limits at whose counters it must ask first; None, the common case: at none.
    ``capped_by`` names the limit that shortened the plan's longest call, or ''.
    """

    at_ms: int
    plan: Plan
    rules: tuple[Rule, ...] | None = None
    capped_by: str = ""


@dataclass(frozen=True, slots=True)
class CallRefused:
    """Outcome of FindRoute: the call goes nowhere, and why."""

    at_ms: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Reserved:
    """Outcome of Reserve: the call has its places, and the first target not skipped has room.

    ``talk_s`` is how long it may talk by the minutes that are left, ``by`` the limit that says so.
    """

    at_ms: int
    skipped: tuple[Skip, ...] = ()
    talk_s: int | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class LimitRefused:
    """Outcome of Reserve: the limit of this name is reached, and nothing was taken."""

    at_ms: int
    limit: str


@dataclass(frozen=True, slots=True)
class CommandDone:
    """Asterisk did it. ``gone``: there was nothing left to do it to (404)."""

    at_ms: int
    command: Command
    gone: bool = False


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """Asterisk refused it, or did not answer. ``unknown``: it may have been done all the same."""

    at_ms: int
    command: Command
    reason: str
    unknown: bool = False


ChannelEvent = (
    CallEntered
    | ChannelDialled
    | ChannelProgressed
    | ChannelRinging
    | ChannelAnswered
    | HangupRequested
    | ChannelLeft
    | ChannelDestroyed
)
MailboxEvent = ChannelEvent | HangupAsked | Doubted
Outcome = Listed | RouteChosen | CallRefused | Reserved | LimitRefused | CommandDone | CommandFailed
Event = MailboxEvent | Outcome

_BY_TAG: dict[str, Callable[..., MailboxEvent]] = {
    kind.tag: kind
    for kind in (
        CallEntered,
        ChannelDialled,
        ChannelProgressed,
        ChannelRinging,
        ChannelAnswered,
        HangupRequested,
        ChannelLeft,
        ChannelDestroyed,
        HangupAsked,
        Doubted,
    )
}


def encode(event: MailboxEvent) -> bytes:
    """The event as it lies in a mailbox: a JSON array of its tag and its fields in order."""
    return orjson.dumps([event.tag, *(getattr(event, name) for name in event.__slots__)])


def decode(data: bytes) -> MailboxEvent:
    """The event that `encode` wrote.

    Raises CallError with a sentence when *data* is no such array.
    """
    try:
        tag, *fields = orjson.loads(data)
        return _BY_TAG[tag](*fields)
    except (ValueError, TypeError, KeyError) as error:
        raise CallError(f"A mailbox holds {data[:200]!r}, which is not an event.") from error
