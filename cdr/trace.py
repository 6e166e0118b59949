"""The Redis stream in which the traces of calls wait for the database.

Keys (in REDIS_URL):

``ringmaster:traces``
    Stream. The call engine adds one entry a call, in the script that ends the call and after the
    call's record: ``head`` JSON of `TraceHead`, ``journal`` the lines of the call's journal
    (calls/machine/journal.py). ``cdr.trace_writer`` takes them off. Records wait for the database
    however long it takes; traces only up to about `MOST_WAITING`, then the oldest go.
"""

from dataclasses import dataclass, field, fields
from typing import Self

import orjson

from cdr.errors import CdrError

STREAM = "ringmaster:traces"
MOST_WAITING = 100_000
"""About 300 MB of Redis, or half an hour without the database at 50 calls a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHead:
    """What is to be known of a trace without reading it. Times are ms since the epoch."""

    call_id: str
    node: str
    account: str
    started_ms: int
    failed: bool
    sip_call_ids: tuple[str, ...] = field(default=())
    """Of the legs, A's first."""

    def to_json(self) -> bytes:
        """As it stands in the stream."""
        return orjson.dumps(self)

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read what `to_json` wrote, of any version. Raises CdrError where it cannot be used."""
        try:
            plain = orjson.loads(text)
            known = {each.name: plain[each.name] for each in fields(cls) if each.name in plain}
            known["sip_call_ids"] = tuple(str(each) for each in known.get("sip_call_ids", ()))
            head = cls(**known)
            if not (isinstance(head.call_id, str) and head.call_id):
                raise ValueError("no call id")
            if not isinstance(head.failed, bool):
                raise TypeError("neither failed nor not")
            return head
        except (ValueError, TypeError, KeyError) as error:
            raise CdrError(f"The trace {text[:200]!r} does not say which call it is of.") from error
