"""Brings the traces of calls from their Redis stream to the database, and drops the old ones.

A trace is worth less than a record: it never waits in a record's way (this is a thread and a
connection of its own), may be lost, and what cannot be written is dropped and logged. Until it is
written or refused an entry stays in the stream; written twice it is one row, by its call id.

Several records workers share the work by a lease in Redis: who holds it writes. Two that both
believe to hold it only write the same rows.

Keys (in REDIS_URL), besides the stream of cdr/trace.py:

``ringmaster:traces:writer``   who writes now, for `LEASE_MS`
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import redis
from django.db import Error, close_old_connections, connections, transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from cdr import metrics
from cdr.errors import CdrError
from cdr.insertion import insert
from cdr.mapping import trace_row
from cdr.models import CallTrace
from cdr.signalling import messages_of
from cdr.sip_trace import SipTrace
from cdr.trace import STREAM, TraceHead
from cdr.writer import REFUSED, at_ms

BATCH = 200
"""Traces in one transaction: under a megabyte."""
GATHER_S = 1.0
"""In which traces gather after a batch that was not full. Nobody waits for them: the story of a
call that has just ended is read from the stream."""
GATHER_UNDER_LOAD_S = 3.0
UNDER_LOAD = 8
"""Traces of a batch from which on they gather for longer: what a batch costs besides its traces is
as much as ten of them."""
BLOCK_MS = 1_000
LEASE_KEY = "ringmaster:traces:writer"
LEASE_MS = 10_000
SETTLE_MS = 2_000
"""After a call's end, until its last BYE and 200 have been caught and lie in Redis."""
LONGEST = 1_000_000
"""Bytes of a journal that are still kept. A usual one has three thousand."""
DROP_BATCH = 1_000
"""Old traces that one statement deletes: some ten milliseconds, in which nobody waits long."""
DROP_EVERY_S = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how many days traces are kept, and those of failed calls (0: not at all); whose SIP is
    put into them."""

    days: int
    failed_days: int
    sip: SipTrace = field(default_factory=SipTrace)

    def until(self, head: TraceHead) -> date | None:
        """The last day of that trace; None when it is not kept."""
        days = max(self.days, self.failed_days) if head.failed else self.days
        if not days:
            return None
        return (_EPOCH + timedelta(milliseconds=head.started_ms, days=days)).date()


class TraceWriter:
    """Writes while it holds the lease; ``name`` is one that no other living writer uses.

    ``tell`` is called with each trace once it is off the stream, kept or not.

    Not for use by several threads at once. Whoever makes it calls `close`.
    """

    def __init__(
        self,
        redis_url: str,
        name: str,
        keeping: Keeping,
        *,
        block_ms: int = BLOCK_MS,
        tell: Callable[[TraceHead, bytes], None] | None = None,
    ) -> None:
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=5,
            socket_connect_timeout=2,
            socket_keepalive=True,
            health_check_interval=10,
            retry=Retry(NoBackoff(), 0),
        )
        self._name = name
        self._keeping = keeping
        self._block_ms = block_ms
        self._tell = tell
        self._next_drop = time.monotonic()
        self._hold = self._redis.register_script(_HOLD)

    def run(self, stop: threading.Event) -> None:
        """Write until ``stop`` is set. What goes wrong is logged and tried again."""
        try:
            while not stop.is_set():
                try:
                    close_old_connections()
                    taken = self.write_once()
                    if taken < BATCH:
                        stop.wait(GATHER_S if taken < UNDER_LOAD else GATHER_UNDER_LOAD_S)
                    if time.monotonic() >= self._next_drop:
                        self.drop_old(stop)
                except (redis.RedisError, Error) as error:
                    logger.error("Traces wait in Redis and are tried again in 5 s: %s", error)
                    stop.wait(5)
        finally:
            connections.close_all()

    def close(self) -> None:
        """Give up the connection."""
        self._redis.close()

    def write_once(self) -> int:
        """Write one batch; return how many traces it took off the stream.

        Waits ``block_ms`` where there are none. Raises redis.RedisError or django.db.Error while
        either cannot be reached; the traces stay in the stream.
        """
        if not self._hold(keys=[LEASE_KEY], args=[self._name, LEASE_MS]):
            return 0
        answer: Any = self._redis.xread({STREAM: "0"}, count=BATCH, block=self._block_ms)
        streams = answer.items() if isinstance(answer, dict) else answer or ()
        entries = [entry for _, batch in streams for entry in _flat(batch)]
        if not entries:
            return 0
        if not self._keeping.sip.off:
            entries = self._settled(entries)
        rows = [row for _, values in entries if (row := self._row(values)) is not None]
        if not entries:
            return 0
        self._write(rows)
        metrics.TRACES_WRITTEN.inc(len(rows))
        self._redis.xdel(STREAM, *(entry_id for entry_id, _ in entries))
        if self._tell is not None:
            for _, values in entries:
                self._tell_one(self._tell, values)
        return len(entries)

    def drop_old(self, stop: threading.Event, today: date | None = None) -> int:
        """Delete what is past its last day, in small batches; return how many that were."""
        self._next_drop = time.monotonic() + DROP_EVERY_S
        today = today or datetime.now(UTC).date()
        dropped = 0
        while not stop.is_set():
            old = CallTrace.objects.filter(keep_until__lt=today).order_by("keep_until", "id")
            keys = list(old.values_list("pk", flat=True)[:DROP_BATCH])
            if keys:
                CallTrace.objects.filter(pk__in=keys).delete()
                dropped += len(keys)
            if len(keys) < DROP_BATCH:
                break
        if dropped:
            logger.info("Dropped %d traces that were past their days.", dropped)
        return dropped

    def _tell_one(
        self, tell: Callable[[TraceHead, bytes], None], values: dict[bytes, bytes]
    ) -> None:
        journal = values.get(b"journal", b"")
        try:
            # Whatever is wrong with it was logged when it was to be written.
            head = TraceHead.from_json(values.get(b"head", b""))
        except CdrError:
            return
        if len(journal) <= LONGEST:
            tell(head, journal)

    def _row(self, values: dict[bytes, bytes]) -> CallTrace | None:
        try:
            head = TraceHead.from_json(values.get(b"head", b""))
            until = self._keeping.until(head)
            journal = values.get(b"journal", b"")
            if len(journal) > LONGEST:
                raise CdrError(f"call {head.call_id} has a journal of {len(journal)} bytes.")
            if until is None:
                return None
            return trace_row(head, journal, until, self._sip_of(head))
        except (CdrError, OverflowError, TypeError, AttributeError) as error:
            logger.error("A trace is dropped: %s", error)
            return None

    def _sip_of(self, head: TraceHead) -> bytes:
        if not self._keeping.sip.covers(head):
            return b""
        sip = messages_of(self._redis, head.sip_call_ids)
        if len(sip) > LONGEST:
            logger.error(
                "The SIP of call %s is left out: %d bytes.",
                head.call_id,
                len(sip),
                extra={"call_id": head.call_id},
            )
            return b""
        return sip

    def _settled(self, entries: list[Any]) -> list[Any]:
        """Those whose last SIP messages have surely been caught: the others wait a turn."""
        seconds, _ = self._redis.time()
        latest_ms = seconds * 1000 - SETTLE_MS
        return [entry for entry in entries if at_ms(entry[0]) <= latest_ms]

    def _write(self, rows: Sequence[CallTrace]) -> None:
        try:
            _store(rows)
        except REFUSED:
            for row in rows:
                try:
                    _store([row])
                except REFUSED as error:
                    logger.error(
                        "The trace of call %r is dropped, the database refuses it: %s",
                        row.call_id[:200],
                        error,
                        extra={"call_id": row.call_id[:200]},
                    )


def _store(rows: Sequence[CallTrace]) -> None:
    with transaction.atomic():
        # Sorted: two writers with the same calls in another order would wait for each other.
        insert(sorted(rows, key=lambda row: row.call_id))


def _flat(batch: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(entry_id, values or {}) for entry_id, values in batch]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
