"""What is said and counted of a call that is over: one line, with all that one greps for."""

import logging
from typing import Any

from calls import metrics
from cdr.record import CallRecord

logger = logging.getLogger(__name__)


def say_over(record: CallRecord) -> None:
    """A call is over, and its record handed over."""
    metrics.over(record)
    logger.info(
        "Call %s is over: %s after %.1f s, %.1f s of talk, ended by %s, trunk %s, cause %s, "
        "SIP %s%s.",
        record.call_id,
        record.disposition,
        record.duration_ms / 1000,
        record.talk_ms / 1000,
        record.ended_by,
        record.trunk or "none",
        record.q850_cause or "none",
        record.sip_code or "none",
        f" ({record.reason})" if record.reason else "",
        extra={"call_id": record.call_id, "fields": _fields(record)},
    )


def _fields(record: CallRecord) -> dict[str, Any]:
    """For logs in JSON. No numbers: who called whom stands in the record, for whom may see it."""
    return {
        "disposition": str(record.disposition),
        "ended_by": str(record.ended_by),
        "duration_ms": record.duration_ms,
        "talk_ms": record.talk_ms,
        "pdd_ms": record.pdd_ms,
        "account": record.account,
        "trunk": record.trunk,
        "route": record.route,
        "attempts": len(record.attempts),
        "q850_cause": record.q850_cause,
        "sip_code": record.sip_code,
        "integrity": str(record.integrity),
        "reason": record.reason,
    }
