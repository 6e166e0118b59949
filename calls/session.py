"""A call's session: all that is remembered of a call while it lives, as one frozen value.

It lies in Redis as JSON between two turns of a worker. The mailbox (calls/mailbox.py) owns the
key; the machine (calls/machine.py) alone says how it changes; calls/records.py makes the CDR of it.
Times are milliseconds since the Unix epoch.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import orjson

from calls import ids
from calls.commands import Command, from_plain, to_plain
from calls.limit_rules import Metric, Rule
from calls.routing import Target


class Phase(StrEnum):
    """How far a call has come. It only ever moves down this list, but for a failed attempt."""

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


@dataclass(frozen=True, slots=True)
class Leg:
    """One attempt to reach B: our record of an outbound channel, or of a trunk that was skipped."""

    number: int
    channel_id: str
    trunk: str
    callee: str
    caller: str
    ring_timeout_s: int
    started_ms: int
    outcome: str = "dialled"
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

    @property
    def rang(self) -> bool:
        """Whether the callee was reached: it rang, or early media came."""
        return self.ringing_ms is not None or self.progress_ms is not None


@dataclass(frozen=True, slots=True)
class Session:
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
    rules: tuple[Rule, ...] | None = None
    """The limits that count this call; None when it asks at no counter."""
    targets: tuple[Target, ...] = ()
    """What may still be tried, in order."""
    legs: tuple[Leg, ...] = ()
    bridge: BridgeState = BridgeState.NONE
    a_up: bool = False
    a_ended_ms: int | None = None
    a_end_sign: EndSign = EndSign.NONE
    a_gone: bool = False
    answered_ms: int | None = None
    ended_ms: int | None = None
    disposition: str = ""
    ended_by: str = ""
    a_cause: int = 16
    """Q.850 cause with which A is hung up: the caller hears its SIP code."""
    cause: int | None = None
    sip_code: int | None = None
    reason: str = ""
    recovered: bool = False
    """Something about this call was not heard from Asterisk but found by looking."""
    looks: int = 0
    pending: tuple[Command, ...] = ()
    """What is to be done next; saved with the state, so that a crash cannot forget it."""

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


def to_json(session: Session) -> bytes:
    """The session as it is saved."""
    plain = {name: getattr(session, name) for name in _SESSION_FIELDS}
    plain["pending"] = [to_plain(command) for command in session.pending]
    return orjson.dumps(plain)


def from_json(data: bytes) -> Session:
    """The session that `to_json` saved."""
    plain: dict[str, Any] = orjson.loads(data)
    plain["phase"] = Phase(plain["phase"])
    plain["bridge"] = BridgeState(plain["bridge"])
    plain["a_end_sign"] = EndSign(plain["a_end_sign"])
    plain["account_keys"] = tuple(plain["account_keys"])
    plain["targets"] = tuple(Target(**target) for target in plain["targets"])
    plain["legs"] = tuple(_leg(leg) for leg in plain["legs"])
    if plain.get("rules") is not None:
        plain["rules"] = tuple(_rule(rule) for rule in plain["rules"])
    plain["pending"] = tuple(from_plain(command) for command in plain["pending"])
    return Session(**plain)


def _leg(plain: dict[str, Any]) -> Leg:
    plain["end_sign"] = EndSign(plain["end_sign"])
    return Leg(**plain)


def _rule(plain: dict[str, Any]) -> Rule:
    plain["metric"] = Metric(plain["metric"])
    return Rule(**plain)


_SESSION_FIELDS = tuple(field.name for field in fields(Session))
