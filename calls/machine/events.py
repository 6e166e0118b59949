"""What can happen to a call.

Events are frozen values. Those from Asterisk lie in the call's mailbox in Redis as a small JSON
array (`encode`, `decode`); the results of commands live only inside one worker's turn. How their
form may change from version to version is told in calls/machine/stored.py.

The end of a channel also tells of the answer, for a call that has not heard it, as Redis went back
to before it or nobody listened: ``answered_leg`` and ``answered_ms`` are which attempt was answered
and when, as the listener remembers it, 0 where it does not; then ``up`` is whether the channel was
Up when it ended, as Asterisk says.

Every ``at_ms`` is in milliseconds since the Unix epoch: Asterisk's own timestamp where the event
came from Asterisk, the worker's clock for results.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from enum import IntEnum
from operator import attrgetter
from typing import Any, ClassVar

import orjson

from calls import ids
from calls.errors import Unreadable
from calls.limits.rules import Rule, Skip
from calls.machine import stored
from calls.machine.commands import Command
from calls.routing.choice import Plan, Refusal


class Urgency(IntEnum):
    """How soon a worker should look at a mailbox because of an event."""

    LATER = 0
    """It only adds a fact: whoever comes next reads it."""
    SOON = 1
    """Another event will normally follow in milliseconds; the sweeper looks if none does."""
    NEXT_LOOK = 2
    """Nothing is to be done, but it should be taken in: the sweeper's next look is soon enough, and
    takes in what came to other calls meanwhile in the same round trips."""
    NOW = 3
    """Something must be done: nudge a worker."""


@dataclass(frozen=True, slots=True)
class CallEntered:
    """A caller's channel entered Stasis (StasisStart of a channel that we did not create), or the
    phone of an ordered call was answered."""

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
    sip_call_id: str = ""
    hops: int = 0
    """Through how many switches of ours the call has come before: the header X-Ringmaster-Hops."""


@dataclass(frozen=True, slots=True)
class CallOrdered:
    """Somebody ordered a call: its caller is to be called first, and then the number.

    ``phone`` names the caller's endpoint; '' for none: then nobody calls, and whoever answers hears
    a sound. ``trunk`` is the one to go by, '' for whichever the route says. ``by`` is who ordered
    it, for the record.
    """

    tag: ClassVar[str] = "ordered"
    urgency: ClassVar[Urgency] = Urgency.NOW
    channel_id: str
    """A's, which is still to be made."""
    at_ms: int
    account_code: str
    phone: str
    dialled: str
    caller_number: str
    by: str
    trunk: str = ""
    ring_timeout_s: int = 30
    """How long the phone rings."""


@dataclass(frozen=True, slots=True)
class CallFound:
    """A call that nobody remembers, as a comparison found it in Asterisk.

    ``legs`` are (number, state) of its B channels, ``digest`` is what calls/machine/digest.py left
    on one of them or on the bridge ('' = nothing). What is said of A is empty where A is not
    ``present``. ``answered_ms`` is when B answered, where a listener still remembers it.
    """

    tag: ClassVar[str] = "found"
    urgency: ClassVar[Urgency] = Urgency.NOW
    channel_id: str
    """A's, whether it is there or not."""
    at_ms: int
    present: bool
    up: bool
    started_ms: int
    channel_name: str
    dialled: str
    caller_number: str
    caller_name: str
    account_code: str
    legs: tuple[tuple[int, str], ...] = ()
    bridge: bool = False
    digest: str = ""
    answered_ms: int | None = None
    sip_call_id: str = ""
    """A's."""
    hops: int = 0
    """As of `CallEntered`."""
    phone: str = ""
    """A's state, where A is a phone that is called for an order and has not been answered yet: then
    it is there though it is not ``present``. '' for any other A."""

    def __post_init__(self) -> None:
        # JSON knows no tuples.
        object.__setattr__(self, "legs", tuple((number, state) for number, state in self.legs))


@dataclass(frozen=True, slots=True)
class ChannelDialled:
    """Asterisk began to dial the channel (Dial with an empty dialstatus).

    ``sip_call_id`` is the Call-ID of its INVITE, '' where it is not a SIP channel.
    """

    tag: ClassVar[str] = "dialled"
    urgency: ClassVar[Urgency] = Urgency.LATER
    channel_id: str
    at_ms: int
    sip_call_id: str = ""


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
    answered_leg: int = 0
    answered_ms: int = 0
    up: bool = False

    @property
    def urgency(self) -> Urgency:
        """With a cause ChannelDestroyed follows at once and says more; a BYE must be acted on."""
        return Urgency.NOW if self.cause is None else Urgency.SOON


@dataclass(frozen=True, slots=True)
class ChannelLeft:
    """The channel left Stasis (StasisEnd). For a channel we are not subscribed to, the only end.

    ``media`` is how its audio was, in Asterisk's words (see calls/machine/media.py), or ''.
    """

    tag: ClassVar[str] = "left"
    channel_id: str
    at_ms: int
    media: str = ""
    answered_leg: int = 0
    answered_ms: int = 0
    up: bool = False

    @property
    def urgency(self) -> Urgency:
        """B's is followed by its ChannelDestroyed; for A of a refused call nothing follows."""
        return Urgency.SOON if ids.is_created_by_us(self.channel_id) else Urgency.NOW


@dataclass(frozen=True, slots=True)
class ChannelDestroyed:
    """The channel is no more. ``cause`` is Q.850, ``sip_code`` Asterisk's tech_cause (22.7+).

    ``media`` as for `ChannelLeft`, ``sip_call_id`` as for `ChannelDialled`.
    """

    tag: ClassVar[str] = "destroyed"
    urgency: ClassVar[Urgency] = Urgency.NOW
    channel_id: str
    at_ms: int
    cause: int | None = None
    sip_code: int | None = None
    media: str = ""
    sip_call_id: str = ""
    answered_leg: int = 0
    answered_ms: int = 0
    up: bool = False


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
    """Result of LookUp: what Asterisk holds of this call now. ``channels``: id → state."""

    tag: ClassVar[str] = "listed"
    at_ms: int
    channels: dict[str, str]
    bridge: bool


@dataclass(frozen=True, slots=True)
class RouteChosen:
    """Result of FindRoute: where the call may go.

    ``rules`` are the limits at whose counters it must ask first; None, the common case: at none.
    ``capped_by`` names the limit that shortened the plan's longest call, or ''.
    """

    tag: ClassVar[str] = "route chosen"
    at_ms: int
    plan: Plan
    rules: tuple[Rule, ...] | None = None
    capped_by: str = ""


@dataclass(frozen=True, slots=True)
class CallRefused:
    """Result of FindRoute: the call goes nowhere, and why."""

    tag: ClassVar[str] = "call refused"
    at_ms: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Reserved:
    """Result of Reserve: the call has its places, and one on ``trunk`` ('': the first not skipped).

    ``talk_s`` is how long it may talk by the minutes spent for it so far, ``by`` the limit with the
    least left.
    """

    tag: ClassVar[str] = "reserved"
    at_ms: int
    skipped: tuple[Skip, ...] = ()
    talk_s: int | None = None
    by: str = ""
    trunk: str = ""


@dataclass(frozen=True, slots=True)
class Extended:
    """Result of Extend: the call may talk for ``talk_s`` in all, by the limit with the least left.

    As long as it could before: no minutes are left.
    """

    tag: ClassVar[str] = "extended"
    at_ms: int
    talk_s: int
    by: str


@dataclass(frozen=True, slots=True)
class LimitRefused:
    """Result of Reserve: the limit of this name is reached, and nothing was taken."""

    tag: ClassVar[str] = "limit refused"
    at_ms: int
    limit: str


@dataclass(frozen=True, slots=True)
class CommandDone:
    """Asterisk did it. ``gone``: there was nothing left to do it to (404).

    ``existed``: what was to be created was there before we asked.
    """

    tag: ClassVar[str] = "done"
    at_ms: int
    command: Command
    gone: bool = False
    existed: bool = False


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """Asterisk refused it, or did not answer. ``unknown``: it may have been done all the same.

    ``of_node``: the node itself could not be asked, which says nothing of the trunk.
    """

    tag: ClassVar[str] = "failed"
    at_ms: int
    command: Command
    reason: str
    unknown: bool = False
    of_node: bool = False


ChannelEnd = HangupRequested | ChannelLeft | ChannelDestroyed
"""The signs of a channel's end."""
Beginning = CallEntered | CallOrdered | CallFound
"""With what a call begins."""
ChannelEvent = (
    CallEntered
    | CallFound
    | ChannelDialled
    | ChannelProgressed
    | ChannelRinging
    | ChannelAnswered
    | HangupRequested
    | ChannelLeft
    | ChannelDestroyed
)
MailboxEvent = ChannelEvent | CallOrdered | HangupAsked | Doubted
Result = (
    Listed
    | RouteChosen
    | CallRefused
    | Reserved
    | LimitRefused
    | Extended
    | CommandDone
    | CommandFailed
)
Event = MailboxEvent | Result


def urgency_of(events: Collection[MailboxEvent]) -> Urgency:
    """How soon a worker should look at events of one call that come together.

    B's answer asks for nothing where A's stands beside it; should it be that of an attempt that was
    given up, its channel is ended at the next look.
    """
    answers = {
        ids.is_created_by_us(each.channel_id)
        for each in events
        if isinstance(each, ChannelAnswered)
    }
    if len(answers) == 2:
        others = (each.urgency for each in events if not isinstance(each, ChannelAnswered))
        return max((Urgency.NEXT_LOOK, *others))
    return max(event.urgency for event in events)


def begins(event: object) -> bool:
    """Whether a call may begin with it.

    None begins with a caller who was called for an order of which nothing is known any more: what
    it was for stands on its channel, and a comparison brings it in a moment.
    """
    if isinstance(event, CallEntered):
        return not ids.is_ordered(event.channel_id)
    return isinstance(event, Beginning)


_FORMS = stored.forms(
    CallEntered,
    CallOrdered,
    CallFound,
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


_OF_AN_END = ("up", "answered_ms", "answered_leg")
_LATER: dict[type, tuple[str, ...]] = {
    CallEntered: ("hops",),
    CallFound: ("phone", "hops"),
    HangupRequested: _OF_AN_END,
    ChannelLeft: _OF_AN_END,
    ChannelDestroyed: _OF_AN_END,
}
"""Fields that are left out where they say nothing, the last first: a worker from before there were
such fields takes no others."""
_BEFORE_THE_ANSWER: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    kind: attrgetter(*(each.name for each in fields(kind)[: -len(_OF_AN_END)]))
    for kind, later in _LATER.items()
    if later is _OF_AN_END
}


def with_answer(event: ChannelEnd, leg: int, answered_ms: int) -> ChannelEnd:
    """The end with what is remembered of the call's answer.

    As `dataclasses.replace` would give it, in a tenth of the time: every end of a talk comes here.
    """
    kind: Any = type(event)
    told: ChannelEnd = kind(*_BEFORE_THE_ANSWER[kind](event), leg, answered_ms)
    return told


def encode(event: MailboxEvent) -> bytes:
    """The event as it lies in a mailbox: a JSON array of its tag and its fields in order."""
    plain = stored.plain(event)
    for name in _LATER.get(type(event), ()):
        if getattr(event, name):
            break
        plain.pop()
    return orjson.dumps(plain)


def decode(data: bytes) -> MailboxEvent:
    """The event that `encode` wrote, here or in another version of Ringmaster.

    Raises Unreadable with a sentence when *data* is no such array.
    """
    try:
        event: MailboxEvent = stored.read(_FORMS, orjson.loads(data))
    except ValueError as error:
        raise Unreadable(f"A mailbox holds {data[:200]!r}, which is not JSON.") from error
    except Unreadable as error:
        raise type(error)(f"A mailbox holds {data[:200]!r}, which is {error}.") from error
    return event
