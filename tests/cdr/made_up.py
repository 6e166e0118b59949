"""Call records for the tests of this package."""

from typing import Any

from cdr.record import AttemptRecord, CallRecord, Disposition, EndedBy, Outcome

STARTED_MS = 1_760_000_000_000


def attempt(**changes: Any) -> AttemptRecord:
    """One dialled attempt that rang after 400 ms and was answered after 2,400 ms."""
    values: dict[str, Any] = {
        "number": 1,
        "trunk": "carrier-a",
        "outcome": Outcome.DIALLED,
        "channel_id": "1760000000.1.b1",
        "callee_sent": "4930123456",
        "started_ms": STARTED_MS + 100,
        "ringing_ms": STARTED_MS + 500,
        "answered_ms": STARTED_MS + 2_500,
        "ended_ms": STARTED_MS + 12_600,
        "q850_cause": 16,
        "sip_code": 200,
    }
    return AttemptRecord(**(values | changes))


def record(call_id: str = "pbx1:1760000000.1", **changes: Any) -> CallRecord:
    """An answered call of 10.1 s of talk, with one attempt."""
    values: dict[str, Any] = {
        "call_id": call_id,
        "node": "pbx1",
        "started_ms": STARTED_MS,
        "ringing_ms": STARTED_MS + 500,
        "answered_ms": STARTED_MS + 2_500,
        "ended_ms": STARTED_MS + 12_600,
        "account": "demo",
        "caller_received": "+49 30 999",
        "caller_name": "Alice",
        "caller_normalised": "4930999",
        "caller_sent": "4930999",
        "callee_received": "004930123456",
        "callee_normalised": "4930123456",
        "callee_sent": "4930123456",
        "prefix": "49",
        "route": "49",
        "trunk": "carrier-a",
        "disposition": Disposition.ANSWERED,
        "q850_cause": 16,
        "sip_code": 200,
        "ended_by": EndedBy.CALLER,
        "attempts": (attempt(),),
    }
    return CallRecord(**(values | changes))
