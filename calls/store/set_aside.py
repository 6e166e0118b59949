"""What was set aside, for people: call records that could not be written (cdr/stream.py), and what
lay in a call's place and could not be understood (calls/store/rejected.py).

Nothing of it is lost but by a person who says so; what is dropped stands in the log, whole.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
import redis
from django.conf import settings

from calls.store import rejected
from calls.store.impatient import impatient_redis
from calls.store.mailbox import ATTEND, call_key, mail_key
from calls.store.questions import LUA
from cdr.stream import DOUBLE, FIELD, REJECTED_STREAM, STREAM

SHOWN = 1_000
"""Entries of each kind that are read at most; further ones are there, and come up when these are
dealt with."""

_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """What an entry was."""

    RECORD = "record"
    """A call record that is none, or that the database refuses."""
    DOUBLE = "double"
    """A second record of a call, which says otherwise than the first."""
    EVENT = "event"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``key`` names it for `retry` and `drop`; ``at_ms`` is when it was set aside, in ms
    since the epoch; ``call`` is '' where it could not be read."""

    key: str
    kind: Kind
    call: str
    at_ms: int
    reason: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it: how many were dealt with, and a sentence for each that was not."""

    done: int
    left: tuple[str, ...] = ()


def entries(client: "redis.Redis") -> list[Entry]:
    """What is set aside, oldest first. Raises redis.RedisError."""
    records: Any = client.xrange(REJECTED_STREAM, count=SHOWN)
    others: Any = client.xrange(rejected.STREAM, count=SHOWN)
    found = (*map(_record, records), *map(_other, others))
    return sorted(found, key=lambda entry: entry.at_ms)


def retry(keys: Sequence[str]) -> Settled:
    """Let the writer, or the call, have these entries again. Raises redis.RedisError."""
    return _settle(keys, _retry)


def drop(keys: Sequence[str]) -> Settled:
    """Give these entries up. Raises redis.RedisError."""
    return _settle(keys, _drop)


_Settle = Callable[["redis.Redis", Entry], str]


def _settle(keys: Sequence[str], settle: _Settle) -> Settled:
    with impatient_redis(settings.REDIS_URL) as client:
        whys = [settle(client, entry) for entry in _found(client, keys)]
    left = tuple(why for why in whys if why)
    return Settled(len(whys) - len(left), left)


def _found(client: "redis.Redis", keys: Iterable[str]) -> Iterator[Entry]:
    for key in keys:
        where, _, entry_id = key.partition(" ")
        if not _ENTRY_ID.fullmatch(entry_id):
            continue
        of_record = where == "record"
        stream = REJECTED_STREAM if of_record else rejected.STREAM
        found: Any = client.xrange(stream, entry_id, entry_id)
        yield from map(_record if of_record else _other, found)


def _retry(client: "redis.Redis", entry: Entry) -> str:
    entry_id = entry.key.partition(" ")[2]
    if entry.kind is Kind.DOUBLE:
        return f"Call {entry.call} has its record; a second one cannot be written."
    if entry.kind is Kind.RECORD:
        with client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(STREAM, {FIELD: entry.data})
            pipeline.xdel(REJECTED_STREAM, entry_id)
            pipeline.execute()
        return ""
    keys = [rejected.STREAM, call_key(entry.call), mail_key(entry.call), ATTEND]
    script = client.register_script((LUA / "put_back.lua").read_text())
    if script(keys=keys, args=[entry_id, entry.call]) == 0:
        return f"Call {entry.call} is over: its {entry.kind} of {entry_id} cannot be put back."
    return ""


def _drop(client: "redis.Redis", entry: Entry) -> str:
    logger.warning(
        "Dropped by hand: a %s of call %s that had been set aside (%s): %r",
        entry.kind,
        entry.call or "unknown",
        entry.reason,
        entry.data,
        extra={"call_id": entry.call},
    )
    records = entry.kind in (Kind.RECORD, Kind.DOUBLE)
    stream = REJECTED_STREAM if records else rejected.STREAM
    client.xdel(stream, entry.key.partition(" ")[2])
    return ""


def _record(found: tuple[bytes, dict[bytes, bytes]]) -> Entry:
    entry_id, values = found
    data = values.get(FIELD.encode(), b"")
    double = values.get(b"kind") == DOUBLE.encode()
    return Entry(
        f"record {entry_id.decode()}",
        Kind.DOUBLE if double else Kind.RECORD,
        call_of(data),
        _at_ms(entry_id),
        values.get(b"reason", b"").decode(errors="replace"),
        data,
    )


def _other(found: tuple[bytes, dict[bytes, bytes]]) -> Entry:
    entry_id, values = found
    return Entry(
        f"other {entry_id.decode()}",
        Kind.SESSION if values.get(b"kind") == b"session" else Kind.EVENT,
        values.get(b"call", b"").decode(errors="replace"),
        _at_ms(entry_id),
        values.get(b"reason", b"").decode(errors="replace"),
        values.get(b"data", b""),
    )


def call_of(record: bytes) -> str:
    """The call that a record is about; '' where that cannot be read."""
    try:
        document: Any = orjson.loads(record)
    except orjson.JSONDecodeError:
        return ""
    return str(document.get("call_id", "")) if isinstance(document, dict) else ""


def _at_ms(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])
