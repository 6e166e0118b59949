"""The call record of a session that is over, and what its trace says of itself. Pure."""

from typing import Any

from calls import causes
from calls.machine.media import quality_of
from calls.machine.session import EndSign, Leg, Session
from cdr.record import AttemptRecord, CallRecord, EndedBy, Integrity
from cdr.trace import TraceHead


def call_record(session: Session) -> CallRecord:
    """What is kept of the call: one record, with one attempt for each leg.

    Raises ValueError for a call that has not come to its end.
    """
    if session.disposition is None or session.ended_by is None:
        raise ValueError(f"Call {session.call_id} has no record yet: nothing has ended it.")
    leg = _telling_leg(session)
    ended_ms = session.ended_ms or session.started_ms
    return CallRecord(
        call_id=session.call_id,
        node=session.node,
        started_ms=session.started_ms,
        progress_ms=leg.progress_ms if leg else None,
        ringing_ms=leg.ringing_ms if leg else None,
        answered_ms=session.answered_ms,
        ended_ms=max(ended_ms, session.started_ms),
        disposition=session.disposition,
        ended_by=session.ended_by,
        account=session.account,
        caller_received=session.caller_number,
        caller_name=session.caller_name,
        caller_normalised=session.caller,
        caller_sent=leg.caller if leg else "",
        callee_received=session.dialled,
        callee_normalised=session.callee,
        callee_sent=leg.callee if leg else "",
        prefix=session.prefix,
        route=session.route,
        canary=session.canary,
        trunk=leg.trunk if leg else "",
        q850_cause=session.cause,
        sip_code=session.sip_code,
        reason="; ".join(
            part for part in (session.reason, _ordered(session), session.note) if part
        ),
        sip_code_heard=_heard(session),
        sip_call_id=session.a_sip_call_id,
        **_quality("caller", session.a_media),
        **_quality("callee", leg.media if leg and leg.answered_ms is not None else ""),
        integrity=Integrity.RECOVERED if session.recovered else Integrity.COMPLETE,
        attempts=tuple(_attempt(each) for each in session.legs),
    )


def trace_head(record: CallRecord) -> TraceHead:
    """What the trace of that call says of itself."""
    return TraceHead(
        call_id=record.call_id,
        node=record.node,
        account=record.account,
        started_ms=record.started_ms,
        failed=record.failed,
        sip_call_ids=tuple(
            each
            for each in (record.sip_call_id, *(each.sip_call_id for each in record.attempts))
            if each
        ),
    )


def _ordered(session: Session) -> str:
    return session.order.words if session.order is not None else ""


def _heard(session: Session) -> int | None:
    """The final SIP code that the caller got; None where they were gone and nobody saw how."""
    if session.answered_ms is not None:
        return 200
    if session.order is not None:
        # Who was called gets no final code: they gave one.
        return None
    if session.ended_by is EndedBy.CALLER:
        return 487
    return None if session.ended_by is EndedBy.UNKNOWN else causes.heard(session.a_cause)


def _quality(side: str, media: str) -> dict[str, Any]:
    quality = quality_of(media)
    if quality is None:
        return {}
    return {f"{side}_{name}": getattr(quality, name) for name in quality.__slots__}


def _telling_leg(session: Session) -> Leg | None:
    """The attempt that the call's outcome came from: the last one that was really made."""
    made = [leg for leg in session.legs if leg.channel_id]
    return made[-1] if made else None


def _attempt(leg: Leg) -> AttemptRecord:
    reason = leg.reason
    if not reason and leg.end_sign is EndSign.SOFT and leg.answered_ms is None:
        reason = f"no answer within {leg.ring_timeout_s} s"
    return AttemptRecord(
        number=leg.number,
        trunk=leg.trunk,
        outcome=leg.outcome,
        channel_id=leg.channel_id,
        callee_sent=leg.callee,
        started_ms=leg.started_ms,
        progress_ms=leg.progress_ms,
        ringing_ms=leg.ringing_ms,
        answered_ms=leg.answered_ms,
        ended_ms=leg.ended_ms,
        q850_cause=leg.cause,
        sip_call_id=leg.sip_call_id,
        sip_code=200 if leg.answered_ms is not None else leg.sip_code,
        reason=reason,
    )
