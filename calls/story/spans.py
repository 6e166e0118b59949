"""A call as a trace of spans, for OpenTelemetry: derived from its journal, like its story. Pure.

The root is the call. Beneath it stand its attempts, one a trunk, with their ringing and answer as
events; the talk; and each thing that was asked for and came back, such as a request to Asterisk. No
number and no name of a person is in a span: what goes to a system for traces is read by others than
call records are. The call's id leads from there to its story.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from calls.story.retrace import Course, Decision
from cdr.record import AttemptRecord, CallRecord

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of time. Times are ms since the epoch; ``parent`` is None for the root."""

    name: str
    key: str
    """What tells it from the others of its call."""
    parent: str | None
    began_ms: int
    ended_ms: int
    attributes: dict[str, Value] = field(default_factory=dict)
    events: tuple[tuple[str, int], ...] = ()
    failed: str = ""
    """What went wrong, empty when nothing did."""

    def span_id(self, call_id: str) -> int:
        """64 bits, the same whenever and by whomever it is told."""
        return _number(f"{call_id}/{self.key}", 8)


def trace_id(call_id: str) -> int:
    """128 bits (W3C Trace Context), the same whenever and by whomever it is told."""
    return _number(call_id, 16)


def _number(text: str, size: int) -> int:
    # Zero is no id.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1


ROOT = "call"


def spans(course: Course) -> tuple[Span, ...]:
    """The spans of a call that is over, the root first; none of one that is not."""
    record = course.record
    if record is None:
        return ()
    return (
        _root(record),
        *(_attempt(record, each) for each in record.attempts if each.started_ms is not None),
        *_talk(record),
        *_requests(course),
    )


def _root(record: CallRecord) -> Span:
    told: dict[str, str | int | None] = {
        "ringmaster.call_id": record.call_id,
        "ringmaster.node": record.node,
        "ringmaster.account": record.account,
        "ringmaster.route": record.route,
        "ringmaster.trunk": record.trunk,
        "ringmaster.disposition": str(record.disposition.value),
        "ringmaster.ended_by": str(record.ended_by.value),
        "ringmaster.integrity": str(record.integrity.value),
        "ringmaster.q850_cause": record.q850_cause,
        "ringmaster.pdd_ms": record.pdd_ms,
        "sip.response_code": record.sip_code,
        "sip.call_id": record.sip_call_id,
    }
    return Span(
        name=ROOT,
        key=ROOT,
        parent=None,
        began_ms=record.started_ms,
        ended_ms=max(record.started_ms, record.ended_ms),
        attributes=_known(told),
        events=_moments(record),
        failed=str(record.disposition.value) if record.failed else "",
    )


def _attempt(record: CallRecord, attempt: AttemptRecord) -> Span:
    began = attempt.started_ms or record.started_ms
    told: dict[str, str | int | None] = {
        "ringmaster.trunk": attempt.trunk,
        "ringmaster.attempt": attempt.number,
        "ringmaster.outcome": str(attempt.outcome.value),
        "ringmaster.q850_cause": attempt.q850_cause,
        "ringmaster.pdd_ms": attempt.pdd_ms,
        "sip.response_code": attempt.sip_code,
        "sip.call_id": attempt.sip_call_id,
    }
    return Span(
        name=f"attempt {attempt.trunk}",
        key=f"attempt {attempt.number}",
        parent=ROOT,
        began_ms=began,
        ended_ms=max(began, attempt.ended_ms or record.ended_ms),
        attributes=_known(told),
        events=_moments(attempt),
        # Not the reason: Asterisk's refusal names the endpoint, and in it the number.
        failed=str(attempt.outcome.value) if attempt.reason and attempt.answered_ms is None else "",
    )


def _talk(record: CallRecord) -> Iterator[Span]:
    if record.answered_ms is not None:
        ended = max(record.answered_ms, record.ended_ms)
        yield Span("talk", "talk", ROOT, record.answered_ms, ended)


def _requests(course: Course) -> Iterator[Span]:
    for decision in course.decisions:
        if decision.asked_ms:
            yield Span(
                name=_asked(decision),
                key=f"decision {decision.number}",
                parent=ROOT,
                began_ms=decision.asked_ms,
                ended_ms=max(decision.asked_ms, decision.at_ms),
                attributes={"ringmaster.turn": decision.turn},
                failed=decision.event.tag if "fail" in decision.event.tag else "",
            )


def _asked(decision: Decision) -> str:
    command = getattr(decision.event, "command", None)
    return str(getattr(command, "tag", decision.event.tag))


def _moments(told: CallRecord | AttemptRecord) -> tuple[tuple[str, int], ...]:
    moments = {
        "early media": told.progress_ms,
        "ringing": told.ringing_ms,
        "answered": told.answered_ms,
    }
    return tuple((name, at_ms) for name, at_ms in moments.items() if at_ms is not None)


def _known(told: Mapping[str, str | int | None]) -> dict[str, Value]:
    return {name: value for name, value in told.items() if value is not None and value != ""}
