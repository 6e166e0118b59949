"""The call record of a session that is over. Pure."""

from calls.session import EndSign, Leg, Session
from cdr.record import AttemptRecord, CallRecord, Disposition, EndedBy, Integrity, Outcome


def call_record(session: Session) -> CallRecord:
    """What is kept of the call: one record, with one attempt for each leg."""
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
        disposition=Disposition(session.disposition),
        ended_by=EndedBy(session.ended_by),
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
        trunk=leg.trunk if leg else "",
        q850_cause=session.cause,
        sip_code=session.sip_code,
        reason=session.reason,
        integrity=Integrity.RECOVERED if session.recovered else Integrity.COMPLETE,
        attempts=tuple(_attempt(each) for each in session.legs),
    )


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
        outcome=Outcome(leg.outcome),
        channel_id=leg.channel_id,
        callee_sent=leg.callee,
        started_ms=leg.started_ms,
        progress_ms=leg.progress_ms,
        ringing_ms=leg.ringing_ms,
        answered_ms=leg.answered_ms,
        ended_ms=leg.ended_ms,
        q850_cause=leg.cause,
        sip_code=200 if leg.answered_ms is not None else leg.sip_code,
        reason=reason,
    )
