"""What can be told of a call with which nobody can go on, so that it ends with a record. Pure.

Its session may be unreadable, or a fault of ours may keep every worker from deciding about it. So
nothing here asks the table, and what cannot be read is left out.
"""

from collections.abc import Iterator
from typing import Any

import orjson
from msgspec.structs import replace

from calls import causes, ids
from calls.errors import Unreadable
from calls.machine import beginning, ending, ordered, rebuilding
from calls.machine.commands import Hangup
from calls.machine.events import (
    CallEntered,
    CallFound,
    CallOrdered,
    ChannelEnd,
    HangupAsked,
    MailboxEvent,
    decode,
)
from calls.machine.record import call_record
from calls.machine.session import BridgeState, Leg, Phase, Session, from_json
from cdr.record import CallRecord, Disposition, EndedBy

GUESSED_LEGS = 5
"""Attempts that a call of unknown attempts may have made; reconciliation finds any beyond them."""

_TEXTS = (
    "channel_name",
    "dialled",
    "caller_number",
    "caller_name",
    "account",
    "callee",
    "caller",
    "prefix",
    "route",
)


def ended(call: str, session: bytes | None, mail: list[bytes], at_ms: int, why: str) -> Session:
    """The call taken down now; its pending commands end what there may be of it."""
    found, is_guessed = _session(call, session, mail, at_ms)
    answered = found.answered_ms is not None
    over = ending.end(
        replace(found, recovered=True, a_gone=False, legs=_still_there(found)),
        found.ended_ms or _heard_end_ms(found, mail) or at_ms,
        found.disposition or (Disposition.ANSWERED if answered else Disposition.CONGESTION),
        found.ended_by or EndedBy.SWITCH,
        a_cause=causes.NORMAL_CLEARING if answered else causes.TEMPORARY_FAILURE,
        reason=why,
        cause=found.cause or causes.TEMPORARY_FAILURE,
        sip_code=found.sip_code,
    )
    if not is_guessed:
        return over
    guesses = [
        Hangup(ids.b_channel(over.a_channel, number), causes.NORMAL_CLEARING)
        for number in range(1, GUESSED_LEGS + 1)
    ]
    return replace(over, pending=(*over.pending, *guesses))


def _heard_end_ms(found: Session, mail: list[bytes]) -> int | None:
    """When the call ended by what waits in its mailbox, if that tells: it may have talked until
    then, and not until somebody gave it up."""
    parties = {found.a_channel}
    if found.answered_ms is not None and found.leg is not None:
        parties.add(found.leg.channel_id)
    ends = (
        event.at_ms
        for event in _readable(mail)
        if isinstance(event, HangupAsked)
        or (isinstance(event, ChannelEnd) and event.channel_id in parties)
    )
    return min((at_ms for at_ms in ends if at_ms >= found.started_ms), default=None)


def _readable(mail: list[bytes]) -> Iterator[MailboxEvent]:
    for data in mail:
        try:
            yield decode(data)
        except Unreadable:
            continue


def record(session: Session) -> CallRecord:
    """The record of a call that `ended` took down."""
    try:
        return call_record(session)
    except (ValueError, TypeError, AttributeError):
        # It is the record that fails: then without what may be wrong with it.
        bare = _bare(session.call_id, session.started_ms)
        return call_record(
            replace(
                bare,
                ended_ms=session.ended_ms,
                disposition=Disposition.CONGESTION,
                ended_by=EndedBy.SWITCH,
                reason=session.reason,
                recovered=True,
            )
        )


def _session(
    call: str, session: bytes | None, mail: list[bytes], at_ms: int
) -> tuple[Session, bool]:
    """The session, and whether its attempts had to be guessed."""
    if session is not None:
        try:
            return from_json(session), False
        except Unreadable:
            return _parts(call, session, at_ms), True
    for event in _readable(mail):
        if isinstance(event, CallEntered):
            return beginning.begin(call, event), False
        if isinstance(event, CallOrdered):
            return ordered.begin(call, event), False
        if isinstance(event, CallFound):
            return rebuilding.rebuild(call, event), False
    return _bare(call, at_ms), True


def _bare(call: str, at_ms: int) -> Session:
    return Session(
        call_id=call,
        phase=Phase.ROUTING,
        started_ms=at_ms,
        channel_name="",
        dialled="",
        caller_number="",
        caller_name="",
        account_keys=(),
        wake_ms=at_ms,
        bridge=BridgeState.MADE,
    )


def _parts(call: str, data: bytes, at_ms: int) -> Session:
    """Those fields of a session that are what they should be."""
    bare = _bare(call, at_ms)
    try:
        plain = orjson.loads(data)
    except ValueError:
        return bare
    if not isinstance(plain, dict):
        return bare
    known: dict[str, Any] = {
        name: plain[name] for name in _TEXTS if isinstance(plain.get(name), str)
    }
    known |= {
        name: plain[name] for name in ("started_ms", "answered_ms") if type(plain.get(name)) is int
    }
    legs = plain.get("legs")
    if isinstance(legs, list):
        known["legs"] = tuple(
            Leg(
                number=number,
                channel_id=leg["channel_id"],
                trunk=str(leg.get("trunk", "")),
                callee=str(leg.get("callee", "")),
                caller=str(leg.get("caller", "")),
                ring_timeout_s=0,
                started_ms=known.get("started_ms", at_ms),
            )
            for number, leg in enumerate(legs, start=1)
            if isinstance(leg, dict) and isinstance(leg.get("channel_id"), str)
        )
    return replace(bare, **known)


def _still_there(session: Session) -> tuple[Leg, ...]:
    """The attempts, so that each that had a channel is hung up once more: nothing is believed."""
    return tuple(
        replace(leg, end_sign=type(leg.end_sign).NONE, gone=not leg.channel_id)
        for leg in session.legs
    )
