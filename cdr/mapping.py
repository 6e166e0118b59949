"""Makes database rows of call records. Hostile text is tamed here, at the border."""

from datetime import date, datetime
from functools import cache

from django.db import models

from cdr.models import BegunCall, CallTrace, Cdr, CdrAttempt
from cdr.moments import moment_of
from cdr.packing import pack
from cdr.record import AttemptRecord, CallRecord
from cdr.trace import TraceHead


def cdr_row(record: CallRecord) -> Cdr:
    """Return the unsaved row of a call."""
    return Cdr(
        call_id=_fitting(Cdr, "call_id", record.call_id),
        node=_fitting(Cdr, "node", record.node),
        started_at=moment_of(record.started_ms),
        progress_at=_maybe_moment(record.progress_ms),
        ringing_at=_maybe_moment(record.ringing_ms),
        answered_at=_maybe_moment(record.answered_ms),
        ended_at=moment_of(record.ended_ms),
        pdd_ms=record.pdd_ms,
        ring_ms=record.ring_ms,
        duration_ms=record.duration_ms,
        talk_ms=record.talk_ms,
        billsec=record.billsec,
        account=_fitting(Cdr, "account", record.account),
        caller_received=_fitting(Cdr, "caller_received", record.caller_received),
        caller_name=_fitting(Cdr, "caller_name", record.caller_name),
        caller_normalised=_fitting(Cdr, "caller_normalised", record.caller_normalised),
        caller_sent=_fitting(Cdr, "caller_sent", record.caller_sent),
        callee_received=_fitting(Cdr, "callee_received", record.callee_received),
        callee_normalised=_fitting(Cdr, "callee_normalised", record.callee_normalised),
        callee_sent=_fitting(Cdr, "callee_sent", record.callee_sent),
        prefix=_fitting(Cdr, "prefix", record.prefix),
        route=_fitting(Cdr, "route", record.route),
        trunk=_fitting(Cdr, "trunk", record.trunk),
        canary=_fitting(Cdr, "canary", record.canary),
        disposition=_fitting(Cdr, "disposition", record.disposition.value),
        q850_cause=record.q850_cause,
        sip_code=record.sip_code,
        ended_by=_fitting(Cdr, "ended_by", record.ended_by.value),
        reason=_fitting(Cdr, "reason", record.reason),
        calls=record.calls,
        integrity=_fitting(Cdr, "integrity", record.integrity.value),
        sip_code_heard=record.sip_code_heard,
        sip_call_id=_fitting(Cdr, "sip_call_id", record.sip_call_id),
        caller_mos=record.caller_mos,
        caller_jitter_ms=record.caller_jitter_ms,
        caller_loss_percent=record.caller_loss_percent,
        caller_rtt_ms=record.caller_rtt_ms,
        callee_mos=record.callee_mos,
        callee_jitter_ms=record.callee_jitter_ms,
        callee_loss_percent=record.callee_loss_percent,
        callee_rtt_ms=record.callee_rtt_ms,
    )


def begun_row(call_id: str, begun_ms: int) -> BegunCall:
    """Return the unsaved row that says when a call began."""
    return BegunCall(call_id=_fitting(BegunCall, "call_id", call_id), begun_at=moment_of(begun_ms))


def trace_row(head: TraceHead, journal: bytes, keep_until: date, sip: bytes = b"") -> CallTrace:
    """Return the unsaved row of a call's trace, with the SIP messages of its legs."""
    return CallTrace(
        call_id=_fitting(CallTrace, "call_id", head.call_id),
        node=_fitting(CallTrace, "node", head.node),
        account=_fitting(CallTrace, "account", head.account),
        started_at=moment_of(head.started_ms),
        failed=head.failed,
        keep_until=keep_until,
        journal=pack(journal),
        sip=pack(sip) if sip else b"",
    )


def attempt_row(cdr_id: int, record: AttemptRecord) -> CdrAttempt:
    """Return the unsaved row of one trunk's turn in the call with that primary key."""
    return CdrAttempt(
        cdr_id=cdr_id,
        number=record.number,
        trunk=_fitting(CdrAttempt, "trunk", record.trunk),
        outcome=_fitting(CdrAttempt, "outcome", record.outcome.value),
        channel_id=_fitting(CdrAttempt, "channel_id", record.channel_id),
        callee_sent=_fitting(CdrAttempt, "callee_sent", record.callee_sent),
        started_at=_maybe_moment(record.started_ms),
        progress_at=_maybe_moment(record.progress_ms),
        ringing_at=_maybe_moment(record.ringing_ms),
        answered_at=_maybe_moment(record.answered_ms),
        ended_at=_maybe_moment(record.ended_ms),
        pdd_ms=record.pdd_ms,
        q850_cause=record.q850_cause,
        sip_code=record.sip_code,
        reason=_fitting(CdrAttempt, "reason", record.reason),
        sip_call_id=_fitting(CdrAttempt, "sip_call_id", record.sip_call_id),
    )


def _maybe_moment(ms: int | None) -> datetime | None:
    return None if ms is None else moment_of(ms)


@cache
def _width(model: type[models.Model], field: str) -> int:
    width = model._meta.get_field(field).max_length  # type: ignore[union-attr]
    if width is None:
        raise TypeError(f"{model.__name__}.{field} has no width to cut a text to.")
    return width


def _fitting(model: type[models.Model], field: str, text: str) -> str:
    """Cut ``text`` to the column, an ellipsis showing that more came; PostgreSQL takes no NUL."""
    text = text.replace("\0", "")
    width = _width(model, field)
    return text if len(text) <= width else text[: width - 1] + "…"
