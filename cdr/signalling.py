"""SIP messages in Redis, by their Call-ID, until the calls they belong to have ended.

Keys (in REDIS_URL):

``ringmaster:sip:<Call-ID>``
    List of messages, each as the JSON that ``run_sip_trace`` made of it, oldest first. Lapses
    `SHORT_MS` after its first message; once a call is up, `LONG_MS` after that; once there is a
    BYE, `SHORT_MS` after that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SHORT_MS = 300_000
"""Minutes in which a call that has ended is surely written."""
LONG_MS = 26 * 3600 * 1000
"""The longest call that settings allow (24 h), and some."""
MOST_MESSAGES = 100
"""Messages kept of one Call-ID; a usual leg has seven."""
LONGEST_CALL_ID = 256


@dataclass(frozen=True, slots=True)
class Caught:
    """One message to keep: its JSON, and how long its Call-ID's list is kept from now on (None: as
    long as it is kept already)."""

    call_id: str
    text: bytes
    keep_ms: int | None = None


def put(client: Any, caught: Iterable[Caught]) -> Any:
    """Put messages into a pipeline of *client*; executing it is the caller's."""
    pipeline = client.pipeline(transaction=False)
    for each in caught:
        pipeline.rpush(_key(each.call_id), each.text)
        # The first ones are kept: how a call began tells more than its hundredth re-INVITE.
        pipeline.ltrim(_key(each.call_id), 0, MOST_MESSAGES - 1)
        known = each.keep_ms is None
        pipeline.pexpire(_key(each.call_id), each.keep_ms or SHORT_MS, nx=known)
    return pipeline


def messages_of(client: Any, call_ids: Sequence[str]) -> bytes:
    """The messages of these Call-IDs as one JSON array; b"" where there is none."""
    if not call_ids:
        return b""
    pipeline = client.pipeline(transaction=False)
    for call_id in dict.fromkeys(call_ids):
        pipeline.lrange(_key(call_id), 0, -1)
    found = [text for texts in pipeline.execute() for text in texts]
    return b"[" + b",".join(found) + b"]" if found else b""


def _key(call_id: str) -> str:
    return f"ringmaster:sip:{call_id[:LONGEST_CALL_ID]}"
