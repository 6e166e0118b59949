"""Brings call records from the Redis stream to the database, each exactly once.

An entry leaves the stream only after the database has committed its row, and a row is unique by
its call id: whatever dies in between, the entry is delivered again and writes nothing twice.

What goes wrong, and what follows:

* database or Redis away, tables missing: entries stay pending, the writer tries again;
* an entry that is no record, or that the database refuses: moved to the rejected stream and
  logged as an error; the others of its batch are written;
* a record that was found and not heard: it waits some seconds for one that was (cdr/found_ends.py);
* a second record of a call that says otherwise than the first: the first stays, the second is moved
  to the rejected stream, unless it is explained (cdr/doubles.py); the same once more, as after a
  death between commit and acknowledgement, is no second one;
* a writer dead with entries in its hands: the same writer started again takes them up at once,
  another one after :data:`CLAIM_AFTER_MS`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis
from django.db import (
    DataError,
    Error,
    IntegrityError,
    close_old_connections,
    connections,
    transaction,
)
from redis.backoff import NoBackoff
from redis.retry import Retry
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from cdr import metrics, patience, recent, rollup
from cdr.doubles import Told, Verdict, judge
from cdr.errors import CdrError, first_line
from cdr.found_ends import Entry, FoundEnds
from cdr.insertion import insert
from cdr.mapping import attempt_row, begun_row, cdr_row
from cdr.models import Cdr
from cdr.record import CallRecord
from cdr.stream import BEGUN_FIELD, BEGUN_STREAM, DOUBLE, FIELD, GROUP, REJECTED_STREAM, STREAM

logger = logging.getLogger(__name__)

BATCH = 500
# Seconds in which records may gather after a batch that was not full. Written one by one as they
# come, at 50 calls a second, a record costs six times as much as in batches of a dozen.
GATHER_S = 0.25
# Under load nobody waits for the record of one call: at 40 calls a second a record costs a quarter
# less in batches of forty than of ten.
GATHER_UNDER_LOAD_S = 1.0
UNDER_LOAD = 8
# Below the socket timeout, or every quiet second would look like a dead Redis.
BLOCK_MS = 1_000
SOCKET_TIMEOUT_S = 5.0
# How long a batch may take before the database is taken for away; 500 rows take some milliseconds.
WRITE_S = 15.0
CLAIM_AFTER_MS = 30_000
CLAIM_EVERY_S = 10.0
# Data the database will refuse again: SQLite's driver says so with errors of Python's own.
REFUSED = (DataError, IntegrityError, OverflowError, ValueError)
PASSING = (redis.RedisError, Error)
_EMPTIED = ("NOGROUP", "UNBLOCKED")
Also = Callable[[Sequence[CallRecord]], None]
# An entry leaves the stream where it was in somebody's hands. A Redis that forgot it may have
# given its id to another one since, which nobody has read yet.
_TAKE_OFF = """
for index = 2, #ARGV do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[index]) == 1 then
    redis.call('XDEL', KEYS[1], ARGV[index])
  end
end
"""


class CdrWriter:
    """One consumer of the group; ``consumer`` is a name no other living writer uses.

    Not for use by several threads at once. Whoever makes it calls :meth:`close`.
    """

    def __init__(
        self,
        redis_url: str,
        consumer: str,
        *,
        block_ms: int = BLOCK_MS,
        also: Also = lambda records: None,
        found_ends: FoundEnds | None = None,
    ) -> None:
        """``also`` is told of new calls in the transaction that writes them: with their rows it is
        done or not done."""
        self._redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=2,
            socket_keepalive=True,
            health_check_interval=10,
            # A read repeated inside the client after a lost reply would leave the first one's
            # entries unseen; run() repeats, and begins with what was already handed out.
            retry=Retry(NoBackoff(), 0),
        )
        self._take_off = self._redis.register_script(_TAKE_OFF)
        self._consumer = consumer
        self._block_ms = block_ms
        self._also = also
        self._group_known = False
        # Fewer than BATCH after one that was too much for the database: what `also` writes of a
        # record may be a hundred times the record.
        self._most = BATCH
        self._is_full = False
        # Entries this consumer was given but has not acknowledged come first, after a start and
        # after every failure.
        self._unread_pending: str | None = "0"
        """The entry after which they are read; None once they have been."""
        self._found_ends = FoundEnds() if found_ends is None else found_ends
        self._next_claim = time.monotonic()

    def run(self, stop: threading.Event, sign: Callable[[], None] = lambda: None) -> None:
        """Write until ``stop`` is set; what is then unwritten stays in the stream.

        ``sign`` is called with every batch, and about once a second while there is none.

        Returns within the time of one batch. Errors that pass are logged and waited out; any
        other is a fault of the program and raised.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(PASSING),
            # At least a second apart, as each try logs a line.
            wait=wait_exponential(multiplier=1, min=1, max=5),
            stop=stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            before_sleep=_log_waiting,
        )
        try:
            while not stop.is_set():
                sign()
                taken = retrying(self._turn)
                if taken and not self._is_full:
                    stop.wait(GATHER_S if taken < UNDER_LOAD else GATHER_UNDER_LOAD_S)
        except RetryError:
            logger.info("The writer of call records stops; those unwritten wait in Redis.")
        finally:
            connections.close_all()

    def close(self) -> None:
        """Close the connections to Redis."""
        self._redis.close()

    def _turn(self) -> int:
        # Drops a connection the database has closed meanwhile; Django does so between requests.
        with patience.within(WRITE_S):
            close_old_connections()
        return self.write_once()

    def write_once(self) -> int:
        """Take one batch off the stream and write it; return how many entries it held.

        Waits ``block_ms`` for entries where there are none. Raises ``redis.RedisError`` or
        ``django.db.Error`` while either cannot be reached; the entries stay pending.
        """
        try:
            self._ensure_group()
            while self._take_in_begun() == BATCH:
                pass
            batch = self._next_batch()
            self._is_full = len(batch) >= self._most
            self._write_batch(batch)
        except redis.ResponseError as error:
            self._unread_pending = "0"
            if not str(error).startswith(_EMPTIED):
                raise
            # Redis was emptied under us, before or during the wait for entries; the group is
            # made again, from the stream's beginning.
            self._group_known = self._is_full = False
            return 0
        except Error:
            self._unread_pending = "0"
            self._most = max(1, self._most // 2)
            raise
        except BaseException:
            self._unread_pending = "0"
            raise
        if self._is_full:
            self._most = min(BATCH, self._most + max(1, self._most // 10))
        return len(batch)

    def _take_in_begun(self) -> int:
        """Bring notes of calls that began to the database; return how many.

        No group hands them out: a note that two writers take in at the same time is one row.
        """
        notes: Any = self._redis.xrange(BEGUN_STREAM, count=BATCH)
        if notes:
            with patience.within(WRITE_S):
                store_begun(
                    (
                        values.get(BEGUN_FIELD.encode(), b"").decode(errors="replace"),
                        at_ms(entry_id),
                    )
                    for entry_id, values in notes
                )
            taken = self._redis.xdel(BEGUN_STREAM, *(entry_id for entry_id, _ in notes))
            if taken:
                # Not where another writer has taken the same ones in.
                metrics.CALLS_NOTED.inc(taken)
                recent.note(self._redis, begun_ms=(at_ms(entry_id) for entry_id, _ in notes))
        return len(notes)

    def _ensure_group(self) -> None:
        if self._group_known:
            return
        try:
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        self._group_known = True

    def _next_batch(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        if self._unread_pending is not None:
            batch = self._read(self._unread_pending)
            if batch:
                # Past them, as some may wait and stay pending.
                self._unread_pending = batch[-1][0].decode()
                return batch
            self._unread_pending = None
        if time.monotonic() >= self._next_claim:
            claimed = self._claim()
            if claimed:
                return claimed
            self._next_claim = time.monotonic() + CLAIM_EVERY_S
        # Of thousands that have waited each turn writes a part: none waits for others to come.
        return self._read(">", block=None if self._found_ends.are_due else self._block_ms)

    def _read(self, after: str, block: int | None = None) -> list[tuple[bytes, dict[bytes, bytes]]]:
        answer: Any = self._redis.xreadgroup(
            GROUP, self._consumer, {STREAM: after}, count=self._most, block=block
        )
        streams = answer.items() if isinstance(answer, dict) else answer or ()
        return [(entry_id, values or {}) for _, entries in streams for entry_id, values in entries]

    def _claim(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        answer: Any = self._redis.xautoclaim(
            STREAM, GROUP, self._consumer, min_idle_time=CLAIM_AFTER_MS, count=self._most
        )
        entries = [(entry_id, values or {}) for entry_id, values in answer[1]]
        if entries:
            logger.warning("Took up %d call records that a dead writer left behind.", len(entries))
        return entries

    def _write_batch(self, batch: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> None:
        entries: list[Entry] = []
        for raw_id, values in batch:
            entry_id = raw_id.decode()
            if not values:
                # Deleted from the stream by hand; only the note that it was handed out is left.
                self._take_off(keys=[STREAM], args=[GROUP, entry_id])
                continue
            text = values.get(FIELD.encode(), b"")
            try:
                entries.append(Entry(entry_id, text, CallRecord.from_json(text)))
            except CdrError as error:
                self._set_aside(entry_id, text, str(error))
        ready = self._found_ends.ready(entries, self._most)
        if not ready:
            # Once a second while nobody calls: Django would make its query for no rows as well.
            return
        rows = self._first_ones(ready)
        entries = [entry for entry, _ in rows]
        try:
            with patience.within(WRITE_S):
                store_rows([(row, entry.record) for entry, row in rows], self._also)
        except REFUSED:
            self._write_one_by_one(entries)
            return
        self._acknowledge(entries)
        _count(entries)
        recent.note(self._redis, (entry.record for entry in entries))

    def _first_ones(self, entries: Sequence[Entry]) -> list[tuple[Entry, Cdr]]:
        """These with their rows, without the second records of calls, which are done with."""
        rows = [cdr_row(entry.record) for entry in entries]
        with patience.within(WRITE_S):
            verdicts = list(zip(entries, judged(rows), strict=True))
        retold = [entry for entry, verdict in verdicts if verdict is Verdict.RETOLD]
        if retold:
            self._acknowledge(retold)
            metrics.CDRS_RETOLD.inc(len(retold))
        for entry in retold:
            logger.info(
                "Call %r was found to have ended once more, after Redis had forgotten that it had; "
                "its record, which was heard whole, stays.",
                entry.record.call_id,
                extra={"call_id": entry.record.call_id},
            )
        for entry, verdict in verdicts:
            if verdict is Verdict.DOUBLE:
                call = entry.record.call_id
                self._reject(
                    entry, f"Call {call!r} has a record already, which says otherwise.", DOUBLE
                )
        return [
            (entry, row)
            for (entry, verdict), row in zip(verdicts, rows, strict=True)
            if verdict is Verdict.WRITE
        ]

    def _write_one_by_one(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            try:
                with patience.within(WRITE_S):
                    store([entry.record], self._also)
            except REFUSED as error:
                call = f"The database refused the record of call {entry.record.call_id!r}"
                why = f"{call}: {first_line(error)}."
                self._reject(entry, why)
            else:
                self._acknowledge([entry])
                _count([entry])

    def _acknowledge(self, entries: Sequence[Entry]) -> None:
        if entries:
            ids = [entry.entry_id for entry in entries]
            self._take_off(keys=[STREAM], args=[GROUP, *ids])
            self._found_ends.done(entries)

    def _reject(self, entry: Entry, reason: str, kind: str = "") -> None:
        self._set_aside(entry.entry_id, entry.text, reason, kind, entry.record.call_id)
        self._found_ends.done([entry])

    def _set_aside(
        self, entry_id: str, text: bytes, reason: str, kind: str = "", call: str = ""
    ) -> None:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.xadd(
                REJECTED_STREAM,
                {FIELD: text, "reason": reason, "entry": entry_id, "kind": kind},
            )
            self._take_off(keys=[STREAM], args=[GROUP, entry_id], client=pipe)
            pipe.execute()
        metrics.CDRS_REJECTED.labels(kind or "bad").inc()
        said = {"call_id": call}
        logger.error("%s It is kept as it came in %s.", reason, REJECTED_STREAM, extra=said)


def _count(written: Sequence[Entry]) -> None:
    now_ms = time.time() * 1000
    metrics.CDRS_WRITTEN.inc(len(written))
    for entry in written:
        metrics.CDR_DELAY.observe(max(0.0, now_ms - at_ms(entry.entry_id.encode())) / 1000)


def judged(rows: Sequence[Cdr]) -> list[Verdict]:
    """What is to be done with each record, by what the database has of these calls. Raises
    ``django.db.Error``.
    """
    known = Cdr.objects.filter(call_id__in={row.call_id for row in rows})
    told = {call: Told(*told) for call, *told in known.values_list("call_id", *Told._fields)}
    return judge(rows, told)


def store(records: Iterable[CallRecord], also: Also = lambda records: None) -> int:
    """As `store_rows`, of records alone."""
    return store_rows([(cdr_row(record), record) for record in records], also)


def store_rows(rows: Iterable[tuple[Cdr, CallRecord]], also: Also = lambda records: None) -> int:
    """Write the records in one transaction; return how many calls were new. ``also`` is told of
    these in it.

    A call that already has its row keeps it and its attempts as they are. Raises
    ``django.db.Error``, or one of :data:`REFUSED` where the data is at fault; then nothing of the
    batch is written.
    """
    by_call: dict[str, tuple[Cdr, CallRecord]] = {}
    for row, record in rows:
        by_call.setdefault(row.call_id, (row, record))
    if not by_call:
        return 0
    with transaction.atomic():
        # Sorted: two writers with the same calls in another order would wait for each other.
        keys = insert([by_call[call][0] for call in sorted(by_call)], "call_id", ["call_id"])
        new = sorted(keys)
        insert(
            [
                attempt_row(keys[call], attempt)
                for call in new
                for attempt in by_call[call][1].attempts
            ],
            unique=["cdr", "number"],
        )
        rollup.due(rollup.hour_of(by_call[call][0].started_at) for call in new)
        if new:
            also([by_call[call][1] for call in new])
    return len(new)


def store_begun(notes: Iterable[tuple[str, int]]) -> None:
    """Write that these calls began, each with its time in ms since the epoch; repeats do nothing.

    Raises ``django.db.Error``.
    """
    rows = {row.call_id: row for row in (begun_row(*note) for note in notes)}
    with transaction.atomic():
        # Sorted, as two writers may have the same calls at the same time.
        insert([rows[call] for call in sorted(rows)])


def at_ms(entry_id: bytes) -> int:
    """When Redis gave a stream's entry its id, in ms since the epoch."""
    return int(entry_id.partition(b"-")[0])


def _log_waiting(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    away = "Redis" if isinstance(error, redis.RedisError) else "The database"
    logger.error(
        "%s does not take part (%s: %s); call records wait in Redis and are tried again in %.0f s.",
        away,
        type(error).__name__,
        first_line(error) if error else "",
        state.upcoming_sleep,
    )
