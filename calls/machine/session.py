"""A call's session: all that is remembered of a call while it lives, as one frozen value.

It lies in Redis as JSON between two turns of a worker. The mailbox (calls/store/mailbox.py) owns
the key; the machine (calls/machine/table.py) alone says how it changes; calls/machine/record.py
makes the CDR of it. Times are milliseconds since the Unix epoch.

A turn changes it some twenty times and reads and writes it a few times, so session and leg are
structs of msgspec and no dataclasses: `replace` (msgspec.structs) takes 0.1 µs instead of 20, and
reading 3 µs instead of 56.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import orjson
from msgspec import Struct, structs

from calls import ids
from calls.errors import FromNewerVersion, Unreadable
from calls.limits.rules import Metric, Rule
from calls.machine import stored
from calls.machine.commands import Command, from_plain, to_plain
from calls.routing.targets import Skipped, Target
from cdr.record import Disposition, EndedBy, Outcome


class Phase(StrEnum):
    """How far a call has come. It only ever moves down this list, but for a failed attempt."""

    CALLING = "calling"
    """Only of calls that were ordered: their caller is being called."""
    ROUTING = "routing"
    RESERVING = "reserving"
    """Only of calls that have limits: waiting for their places."""
    SETUP = "setup"
    DIALLING = "dialling"
    TALKING = "talking"
    ENDING = "ending"
    OVER = "over"


class BridgeState(StrEnum):
    """What we know of the call's mixing bridge."""

    NONE = "none"
    ASKED = "asked"
    MADE = "made"
    GONE = "gone"


class EndSign(StrEnum):
    """By what the end of a channel was first seen: it tells who ended it."""

    NONE = ""
    HANGUP = "hangup"
    SOFT = "soft"
    VANISHED = "vanished"
    """StasisEnd or ChannelDestroyed without any ChannelHangupRequest, as TIMEOUT(absolute) does."""
    MISSED = "missed"
    """No event came; a look at Asterisk found it gone."""


class Leg(Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt to reach B: our record of an outbound channel, or of a trunk that was skipped."""

    number: int
    channel_id: str
    trunk: str
    callee: str
    caller: str
    ring_timeout_s: int
    started_ms: int
    outcome: Outcome = Outcome.DIALLED
    created: bool = False
    dialled: bool = False
    progress_ms: int | None = None
    ringing_ms: int | None = None
    answered_ms: int | None = None
    ended_ms: int | None = None
    end_sign: EndSign = EndSign.NONE
    gone: bool = False
    cause: int | None = None
    sip_code: int | None = None
    reason: str = ""
    sip_call_id: str = ""
    media: str = ""
    """How its audio was, in Asterisk's words; see calls/machine/media.py."""
    of_trunk: bool = True
    """Whether the trunk is to be blamed where the attempt failed before the dial."""
    endpoint: str = ""
    """How Asterisk reaches the trunk, for asking it once more."""
    existed: bool = False
    """Its channel was there before we created it: Redis remembers less than we did."""
    unknown: dict[str, Any] | None = None
    """Fields that a newer version added; kept for it."""

    @property
    def rang(self) -> bool:
        """Whether the callee was reached: it rang, or early media came."""
        return self.ringing_ms is not None or self.progress_ms is not None


@dataclass(frozen=True, slots=True)
class Order:
    """How a call was ordered. The fields are those of calls.machine.events.CallOrdered."""

    by: str
    phone: str
    trunk: str = ""
    ring_timeout_s: int = 30

    @property
    def is_silent(self) -> bool:
        """Whether nobody calls, and a sound is played to whoever answers."""
        return not self.phone

    @property
    def words(self) -> str:
        """As the record says it: ``placed by alice``."""
        how = f" through trunk {self.trunk} alone" if self.trunk else ""
        return f"{'test call' if self.trunk else 'placed'} by {self.by}{how}"


class Session(Struct, frozen=True):
    """The state of one call."""

    call_id: str
    phase: Phase
    started_ms: int
    channel_name: str
    dialled: str
    caller_number: str
    caller_name: str
    account_keys: tuple[str, ...]
    wake_ms: int
    """When somebody should look at the call even if no event comes."""
    account: str = ""
    callee: str = ""
    caller: str = ""
    prefix: str = ""
    route: str = ""
    max_call_s: int = 0
    capped_by: str = ""
    """The limit that set ``max_call_s``, if one did."""
    granted_s: int | None = None
    """How long it may talk by the minutes spent for it so far; None when no more is to be asked
    for (calls/machine/slices.py)."""
    slice_s: int = 0
    """How long the last slice of them was."""
    granted_by: str = ""
    """The limit with the least minutes left."""
    rules: tuple[Rule, ...] | None = None
    """The limits that count this call; None when it asks at no counter."""
    targets: tuple[Target, ...] = ()
    """What may still be tried, in order."""
    target: Target | None = None
    """What the current attempt tries, for an attempt that has to be made again."""
    legs: tuple[Leg, ...] = ()
    bridge: BridgeState = BridgeState.NONE
    a_sip_call_id: str = ""
    a_media: str = ""
    a_up: bool = False
    a_ended_ms: int | None = None
    a_end_sign: EndSign = EndSign.NONE
    a_gone: bool = False
    answered_ms: int | None = None
    ended_ms: int | None = None
    disposition: Disposition | None = None
    ended_by: EndedBy | None = None
    a_cause: int = 16
    """Q.850 cause with which A is hung up: the caller hears its SIP code."""
    cause: int | None = None
    sip_code: int | None = None
    reason: str = ""
    note: str = ""
    """What the record says of the call besides how it ended."""
    hops: int = 0
    """Through how many switches of ours the call has come before."""
    order: Order | None = None
    """Set where Ringmaster placed the call itself."""
    a_ringing_ms: int | None = None
    """When the phone of whoever ordered the call rang, and when it was answered."""
    a_answered_ms: int | None = None
    recovered: bool = False
    """Something about this call was not heard from Asterisk but found by looking."""
    looks: int = 0
    first_attempt: int = 1
    """The number of the first attempt since the call was routed: with it the limits let it in.

    Above 1 in a call begun anew, whose former attempts count on.
    """
    canary: str = ""
    """Which canary the route had, and the call's arm: ``7:new``."""
    pending: tuple[Command, ...] = ()
    """What is to be done next; saved with the state, so that a crash cannot forget it."""
    unknown: dict[str, Any] | None = None
    """Fields that a newer version added; kept for it."""

    @property
    def node(self) -> str:
        return ids.split_call_id(self.call_id)[0]

    @property
    def a_channel(self) -> str:
        return ids.split_call_id(self.call_id)[1]

    @property
    def bridge_id(self) -> str:
        return ids.bridge_of(self.a_channel)

    @property
    def leg(self) -> Leg | None:
        """The current attempt."""
        return self.legs[-1] if self.legs else None

    @property
    def is_silent(self) -> bool:
        """Whether nobody calls, and a sound is played to whoever answers."""
        return self.order is not None and self.order.is_silent

    @property
    def attempts(self) -> tuple[Leg, ...]:
        """The attempts since the call was routed, without those of a call begun anew before."""
        return self.legs[self.first_attempt - 1 :]


def to_json(session: Session) -> bytes:
    """The session as it is saved."""
    values = list(structs.astuple(session))
    values[_PENDING] = [to_plain(command) for command in session.pending]
    values[_DISPOSITION] = session.disposition or ""
    values[_ENDED_BY] = session.ended_by or ""
    version = stored.SESSION_VERSION if session.order is None else stored.ORDERED_VERSION
    return _encode(_Saved(*values, version))


def from_json(data: bytes) -> Session:
    """The session that `to_json` saved, here or in another version of Ringmaster.

    Raises FromNewerVersion when a newer version saved it in a form that this one must not touch,
    Unreadable when it cannot be understood at all; both with a sentence.
    """
    try:
        saved = _decode(data)
    except (msgspec.MsgspecError, ValueError):
        # Of another version, or none at all.
        return _from_other_version(data)
    if saved.v not in stored.VERSIONS or any(leg.unknown for leg in saved.legs):
        return _from_other_version(data)
    values: list[Any] = list(structs.astuple(saved)[:-1])
    values[_PENDING] = _commands(saved.pending)
    values[_DISPOSITION] = Disposition(saved.disposition) if saved.disposition else None
    values[_ENDED_BY] = EndedBy(saved.ended_by) if saved.ended_by else None
    return Session(*values)


def _commands(pending: list[Any]) -> tuple[Command, ...]:
    try:
        return tuple(from_plain(command) for command in pending)
    except Unreadable as error:
        raise type(error)(f"A session has a command pending which is {error}.") from error


# --- As other versions save it --------------------------------------------------------------------


def _from_other_version(data: bytes) -> Session:
    version: object = 1
    try:
        plain: dict[str, Any] = orjson.loads(data)
        version = plain.pop("v", 1)
        if version in stored.VERSIONS:
            return _session(plain)
    except Unreadable:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Unreadable(f"A session cannot be read ({error!r}): {data[:200]!r}") from error
    raise FromNewerVersion(
        f"A session is of version {version!r}, this version of Ringmaster reads "
        f"{stored.ORDERED_VERSION}: another worker has to attend to the call."
    )


def _session(plain: dict[str, Any]) -> Session:
    plain = stored.known_fields(Session, plain)
    plain["phase"] = Phase(plain["phase"])
    plain["bridge"] = BridgeState(plain["bridge"])
    plain["a_end_sign"] = EndSign(plain["a_end_sign"])
    plain["account_keys"] = tuple(plain["account_keys"])
    plain["targets"] = tuple(_target(target) for target in plain["targets"])
    plain["target"] = _target(plain["target"]) if plain.get("target") else None
    plain["legs"] = tuple(_leg(leg) for leg in plain["legs"])
    if plain.get("order"):
        plain["order"] = Order(**stored.known_fields(Order, plain["order"]))
    if plain.get("rules") is not None:
        plain["rules"] = tuple(_rule(rule) for rule in plain["rules"])
    plain["disposition"] = Disposition(plain["disposition"]) if plain["disposition"] else None
    plain["ended_by"] = EndedBy(plain["ended_by"]) if plain["ended_by"] else None
    plain["pending"] = _commands(plain["pending"])
    return Session(**plain)


def _target(plain: dict[str, Any]) -> Target:
    plain = stored.known_fields(Target, plain)
    plain["skipped"] = Skipped(plain["skipped"])
    return Target(**plain)


def _leg(plain: dict[str, Any]) -> Leg:
    plain = stored.known_fields(Leg, plain)
    plain["end_sign"] = EndSign(plain["end_sign"])
    plain["outcome"] = Outcome(plain["outcome"])
    return Leg(**plain)


def _rule(plain: dict[str, Any]) -> Rule:
    plain = stored.known_fields(Rule, plain)
    plain["metric"] = Metric(plain["metric"])
    return Rule(**plain)


# --- As this version saves it ---------------------------------------------------------------------


def _saved_form() -> Any:
    """A session as it lies in Redis: commands as arrays, '' where it is not over, and the version.
    It takes what this version writes and nothing else."""
    types: dict[str, Any] = {"pending": list[Any], "disposition": str, "ended_by": str}
    types["unknown"] = None
    fields = [(each.name, types.get(each.name, each.type)) for each in structs.fields(Session)]
    return msgspec.defstruct("Saved", [*fields, ("v", int)], forbid_unknown_fields=True)


_Saved = _saved_form()
_PENDING, _DISPOSITION, _ENDED_BY = (
    Session.__struct_fields__.index(name) for name in ("pending", "disposition", "ended_by")
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Saved).decode
