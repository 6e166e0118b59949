"""What is told to webhooks of a call that is up: that it has begun, and that it was answered. Pure.

It is taken from two sessions, as they were saved last and as they are saved now, and goes into the
outbox with that save. So what nobody saved is told by nobody, and what is saved is told.
"""

from collections.abc import Collection, Iterator
from typing import Any

import orjson

from calls.machine.session import Session
from cdr.moments import moment_of


def news(
    before: Session | None, after: Session, wanted: Collection[str]
) -> Iterator[tuple[str, bytes]]:
    """Events, of those that somebody wants, with what there is to say of them."""
    if before is None and "call.begun" in wanted:
        yield "call.begun", _told(after, after.started_ms)
    if after.answered_ms is None or (before is not None and before.answered_ms is not None):
        return
    if "call.answered" in wanted:
        trunk = after.leg.trunk if after.leg is not None else ""
        answered_at = _moment(after.answered_ms)
        yield "call.answered", _told(after, after.answered_ms, answered_at=answered_at, trunk=trunk)


def _told(session: Session, at_ms: int, **more: Any) -> bytes:
    data = {
        "call_id": session.call_id,
        "node": session.node,
        "started_at": _moment(session.started_ms),
        "account": session.account,
        "caller_received": session.caller_number,
        "caller_name": session.caller_name,
        "caller_normalised": session.caller,
        "callee_received": session.dialled,
        "callee_normalised": session.callee,
    }
    return orjson.dumps({"key": session.call_id, "at_ms": at_ms, "data": data | more})


def _moment(at_ms: int) -> str:
    return moment_of(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
