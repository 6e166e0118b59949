"""Makes database rows of call records. Hostile text is tamed here, at the border."""

from datetime import UTC, datetime, timedelta
from functools import cache

from django.db import models

from cdr.models import Cdr, CdrAttempt
from cdr.record import AttemptRecord, CallRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cdr_row(record: CallRecord) -> Cdr:
    """Return the unsaved row of a call."""
    return Cdr(
        call_id=_fitting(Cdr, "call_id", record.call_id),
        node=_fitting(Cdr, "node", record.node),
        started_at=_moment(record.started_ms),
        progress_at=_maybe_moment(record.progress_ms),
        ringing_at=_maybe_moment(record.ringing_ms),
        answered_at=_maybe_moment(record.answered_ms),
        ended_at=_moment(record.ended_ms),
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
        disposition=record.disposition.value,
        q850_cause=record.q850_cause,
        sip_code=record.sip_code,
        ended_by=record.ended_by.value,
        reason=_fitting(Cdr, "reason", record.reason),
        integrity=record.integrity.value,
    )


def attempt_row(cdr_id: int, record: AttemptRecord) -> CdrAttempt:
    """Return the unsaved row of one trunk's turn in the call with that primary key."""
    return CdrAttempt(
        cdr_id=cdr_id,
        number=record.number,
        trunk=_fitting(CdrAttempt, "trunk", record.trunk),
        outcome=record.outcome.value,
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
    )


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _maybe_moment(ms: int | None) -> datetime | None:
    return None if ms is None else _moment(ms)


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
