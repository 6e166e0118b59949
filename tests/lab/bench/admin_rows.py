"""The rows of `make bench-admin`: made by the database itself, the newest first, within a time.

What is made stands in the database, and a later run over the same folder goes on from there.
Indexes and constraints but the primary keys are taken off first and made again after the rows,
which takes a third of the time.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from rich.console import Console

from cdr.patience import lift, put_back

console = Console()

CDRS = """
INSERT INTO cdr_cdr (
    id, call_id, node, started_at, ringing_at, answered_at, ended_at, pdd_ms, ring_ms, duration_ms,
    talk_ms, billsec, account, caller_received, caller_name, caller_normalised, caller_sent,
    callee_received, callee_normalised, callee_sent, prefix, route, trunk, disposition,
    q850_cause, sip_code, ended_by, reason, integrity, sip_call_id
)
SELECT
    n, 'pbx1:' || n || '.1', 'pbx1', at, at + interval '0.8 s',
    CASE WHEN n %% 5 < 3 THEN at + interval '5 s' END, at + interval '95 s',
    300 + n %% 1700, 4200, 95000, CASE WHEN n %% 5 < 3 THEN 90000 ELSE 0 END,
    CASE WHEN n %% 5 < 3 THEN 90 ELSE 0 END, 'account-' || n %% 200, '4940' || n, '',
    '4940' || n, '4940' || n, '00' || callee, callee, callee, left(callee, 3), 'route',
    'trunk-' || n %% 20,
    CASE WHEN n %% 5 < 3 THEN 'answered' WHEN n %% 5 = 3 THEN 'busy' ELSE 'no_answer' END,
    CASE WHEN n %% 5 < 3 THEN 16 WHEN n %% 5 = 3 THEN 17 ELSE 19 END,
    CASE WHEN n %% 5 < 3 THEN 200 WHEN n %% 5 = 3 THEN 486 ELSE 480 END,
    'caller', '', 'complete', 'sip-' || n || '@pbx1'
FROM (
    SELECT n, %(now)s - interval '30 days' + n * (interval '30 days' / %(count)s) AS at,
        (10 + n %% 80)::text || lpad((n::bigint * 7919 %% 100000000)::text, 8, '0') AS callee
    FROM generate_series(%(first)s, %(last)s) AS n
) AS made
"""
ATTEMPTS = """
INSERT INTO cdr_cdrattempt (
    id, cdr_id, number, trunk, outcome, channel_id, callee_sent, started_at, ringing_at,
    answered_at, ended_at, pdd_ms, q850_cause, sip_code, reason, sip_call_id
)
SELECT id, id, 1, trunk, 'dialled', '', callee_sent, started_at, ringing_at, answered_at, ended_at,
    pdd_ms, q850_cause, sip_code, '', 'b-' || sip_call_id
FROM cdr_cdr WHERE id BETWEEN %(first)s AND %(last)s
"""
TRACES = """
INSERT INTO cdr_calltrace (
    id, call_id, node, account, started_at, failed, keep_until, journal, sip
)
SELECT n, 'pbx1:' || n + %(before)s || '.1', 'pbx1', 'account-' || n %% 200,
    %(now)s - interval '7 days' + n * (interval '7 days' / %(count)s), n %% 50 = 0,
    current_date + 7, %(journal)s, ''
FROM generate_series(%(first)s, %(last)s) AS n
"""
MADE = {
    "traces": ("cdr_calltrace", TRACES),
    "CDRs": ("cdr_cdr", CDRS),
    "attempts": ("cdr_cdrattempt", ATTEMPTS),
}
SLICE = 250_000
"""Rows of one statement: some seconds."""
FOR_ROWS = 0.6
"""Share of the time after which no more rows are begun: indexes and sums take as long again."""
HOURS_AT_ONCE = 6
LATER = "bench_later"
"""A table: the statements that make the indexes and constraints which were taken off."""
BEGUN = "bench_begun"
"""A table: when the first run over these rows was. Times are counted back from there."""


class Filling:
    """Makes what is asked for, as long as there is time and disk for the next step."""

    def __init__(self, seconds: float, free_gb: float, for_rows: float = FOR_ROWS) -> None:
        now = time.monotonic()
        self._rows_until = now + for_rows * seconds
        self._until = now + seconds
        self._free = free_gb * 1e9

    def rows(self, *, cdrs: int, traces: int, journal: bytes) -> None:
        """Make the rows that are not there yet; every trace has this journal, packed."""
        wanted = {"traces": traces, "CDRs": cdrs, "attempts": cdrs}
        if all(_made(name, count) == count for name, count in wanted.items()):
            return
        _take_indexes_off()
        given = {"now": _begun(), "journal": journal, "before": cdrs - traces}
        for name, count in wanted.items():
            self._rows(name, given | {"count": count})

    def finish(self) -> str:
        """Indexes, whatever the time, and sums; returns in words what there is."""
        new = _make_indexes()
        self._sums(everything=new)
        counts = [f"{_rows_of(table):,} {name}" for name, (table, _) in MADE.items()]
        return ", ".join([*counts, f"{_hours():,} hours added up"])

    def _rows(self, name: str, given: dict[str, object]) -> None:
        count, slowest = int(str(given["count"])), 0.0
        before = made = _made(name, count)
        with timed(lambda: f"{made:,} of {count:,} {name}"):
            while made < count and self._goes_on(self._rows_until, slowest):
                at = time.monotonic()
                last = count - made
                first = max(1, last - SLICE + 1)
                _do(MADE[name][1], given | {"first": first, "last": last})
                made += last - first + 1
                slowest = max(slowest, time.monotonic() - at)
        if made < count:
            console.print(f"No more time or disk for {name}: {made - before:,} were made.")

    def _sums(self, *, everything: bool) -> None:
        """Add hours up by the product's own code, the latest first, as far as time allows."""
        from cdr import rollup
        from cdr.models import HourDue

        if everything:
            rollup.all_due()
        slowest = 0.0
        with timed(lambda: f"{_hours():,} hours added up, {HourDue.objects.count():,} left"):
            while HourDue.objects.exists() and self._goes_on(self._until, slowest):
                at = time.monotonic()
                rollup.add_up(most=HOURS_AT_ONCE)
                slowest = max(slowest, time.monotonic() - at)
            for _ in range(rollup.DAYS // rollup.DAYS_AT_ONCE):
                rollup.add_up(most=1)
            _do("VACUUM ANALYZE cdr_hourlycalls")

    def _goes_on(self, until: float, seconds: float) -> bool:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        return free > self._free and time.monotonic() + seconds < until


@contextmanager
def timed(what: str | Callable[[], str]) -> Iterator[None]:
    """Say what was done, and how long it took."""
    began = time.monotonic()
    yield
    said = what if isinstance(what, str) else what()
    console.print(f"{said} [dim]({time.monotonic() - began:.0f} s)[/dim]")


def _do(sql: str, given: Any = None) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        return list(cursor.fetchall()) if cursor.description else []


def _made(name: str, count: int) -> int:
    # Made from the highest id downwards: counting ten million rows would take seconds.
    ((lowest,),) = _do(f"SELECT min(id) FROM {MADE[name][0]}")  # noqa: S608
    return 0 if lowest is None else count - int(str(lowest)) + 1


def _rows_of(table: str) -> int:
    ((lowest, highest),) = _do(f"SELECT min(id), max(id) FROM {table}")  # noqa: S608
    return 0 if lowest is None else int(str(highest)) - int(str(lowest)) + 1


def _hours() -> int:
    ((hours,),) = _do("SELECT count(*) FROM cdr_hourlycalls WHERE span = 'hour' AND kind = 'all'")
    return int(str(hours))


def _begun() -> object:
    _do(f"CREATE TABLE IF NOT EXISTS {BEGUN} (at timestamptz)")
    if not _do(f"SELECT at FROM {BEGUN}"):  # noqa: S608
        _do(f"INSERT INTO {BEGUN} VALUES (%s)", [datetime.now(UTC)])  # noqa: S608
    return _do(f"SELECT at FROM {BEGUN}")[0][0]  # noqa: S608


def _take_indexes_off() -> None:
    _do(f"CREATE TABLE IF NOT EXISTS {LATER} (number serial, sql text)")
    for table, _ in MADE.values():
        constraints = _do(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype IN ('u', 'f') ORDER BY contype DESC",
            [table],
        )
        for name, definition in constraints:
            _off(
                f"ALTER TABLE {table} DROP CONSTRAINT {name}",
                f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}",
            )
        indexes = _do(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename = %s AND indexname NOT LIKE '%%_pkey'",
            [table],
        )
        for name, definition in indexes:
            _off(f"DROP INDEX {name}", str(definition))


def _off(now: str, later: str) -> None:
    _do(f"INSERT INTO {LATER} (sql) VALUES (%s)", [later])  # noqa: S608
    _do(now)


def _make_indexes() -> bool:
    """Make what was taken off; whether that was anything."""
    _do(f"CREATE TABLE IF NOT EXISTS {LATER} (number serial, sql text)")
    waiting = _do(f"SELECT number, sql FROM {LATER} ORDER BY number")  # noqa: S608
    if not waiting:
        return False
    # An index over ten million rows takes longer than any statement of the product's may.
    lift("default")
    with timed(f"{len(waiting)} indexes and constraints"):
        for number, sql in waiting:
            _do(str(sql))
            _do(f"DELETE FROM {LATER} WHERE number = %s", [number])  # noqa: S608
    with timed("vacuumed and analysed"):
        _do("VACUUM ANALYZE")
    put_back("default")
    return True
