"""How long the admin's pages take on the server with a large carrier's year in PostgreSQL.

python -m tests.lab.bench.admin [--cdrs 10000000] [--traces 1000000] [--live 10000]
                                [--seconds 1200] [--free-gb 5]

Rows are made by the database itself (generate_series), slice by slice, spread over thirty days; the
hourly sums are added up by the product. When the seconds for making them are over, or the disk
would have less left than it is to have, the pages are measured with what there is, and the table
says how much that is. Each page is asked for by Django's own client, with all its middleware,
and the plans of its queries are looked at for scans of a whole table. Exit code 1 where a page is
over its limit or scans.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console()
LIMIT_MS = 200
LIVE_LIMIT_MS = 300
ROUNDS = 5
SMALL = (
    "auth_",
    "django_",
    "axes_",
    "auditlog_",
    "calls_",
    "otp_",
    "cdr_savedview",
    "cdr_cdrexport",
)
"""Tables that are read whole with reason: they have some dozen rows."""

CDRS = """
INSERT INTO cdr_cdr (
    call_id, node, started_at, ringing_at, answered_at, ended_at, pdd_ms, ring_ms, duration_ms,
    talk_ms, billsec, account, caller_received, caller_name, caller_normalised, caller_sent,
    callee_received, callee_normalised, callee_sent, prefix, route, trunk, disposition,
    q850_cause, sip_code, ended_by, reason, integrity, sip_call_id
)
SELECT
    'pbx1:' || n || '.1', 'pbx1', at, at + interval '0.8 s',
    CASE WHEN n %% 5 < 3 THEN at + interval '5 s' END, at + interval '95 s',
    300 + n %% 1700, 4200, 95000, CASE WHEN n %% 5 < 3 THEN 90000 ELSE 0 END,
    CASE WHEN n %% 5 < 3 THEN 90 ELSE 0 END, 'account-' || n %% 200, '4940' || n, '',
    '4940' || n, '4940' || n, '00' || callee, callee, callee, left(callee, 4), 'route',
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
    cdr_id, number, trunk, outcome, channel_id, callee_sent, started_at, ringing_at, answered_at,
    ended_at, pdd_ms, q850_cause, sip_code, reason, sip_call_id
)
SELECT id, 1, trunk, 'dialled', '', callee_sent, started_at, ringing_at, answered_at, ended_at,
    pdd_ms, q850_cause, sip_code, '', ''
FROM cdr_cdr WHERE started_at > now() - interval '2 days'
"""
TRACES = """
INSERT INTO cdr_calltrace (
    call_id, node, account, started_at, failed, keep_until, journal, sip
)
SELECT 'pbx1:' || n || '.1', 'pbx1', 'account-' || n %% 200,
    %(now)s - interval '7 days' + n * (interval '7 days' / %(count)s), n %% 50 = 0,
    current_date + 7, decode(repeat('ab', 600), 'hex'), ''
FROM generate_series(%(first)s, %(last)s) AS n
"""
SLICE = 250_000
"""Rows of one statement: some seconds, and some 200 MB with their indexes."""


def main() -> int:
    """Run the command line and give its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cdrs", type=int, default=10_000_000)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=1_200, help="for making the rows, at most")
    parser.add_argument("--free-gb", type=float, default=5.0, help="what the disk keeps free")
    asked = parser.parse_args()
    from tests.lab.bench.admin_setting import setting

    with setting() as client:
        asked.cdrs, asked.traces = _fill(asked)
        return _measure(client, asked)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    console.print(f"{what} [dim]({time.monotonic() - began:.0f} s)[/dim]")


class Slices:
    """Makes rows slice by slice, as long as there is time and disk for the next one."""

    def __init__(self, seconds: float, free_gb: float) -> None:
        self._until = time.monotonic() + seconds
        self._free = free_gb * 1e9
        self._now = datetime.now(UTC)

    def make(self, what: str, sql: str, count: int) -> int:
        """Make so many rows; returns how many there are, the newest ones where not all."""
        from django.db import connection

        began, made, slowest = time.monotonic(), 0, 0.0
        while made < count and self._goes_on(slowest):
            at = time.monotonic()
            last = count - made
            first = max(1, last - SLICE + 1)
            given: dict[str, Any] = {"count": count, "first": first, "last": last, "now": self._now}
            with connection.cursor() as cursor:
                cursor.execute(sql, given)
            made += last - first + 1
            slowest = max(slowest, time.monotonic() - at)
        short = "" if made == count else f" of {count:,}: no more time or disk"
        console.print(f"{made:,} {what}{short} [dim]({time.monotonic() - began:.0f} s)[/dim]")
        return made

    def _goes_on(self, slowest: float) -> bool:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        return free > self._free and time.monotonic() + slowest < self._until


def _fill(asked: argparse.Namespace) -> tuple[int, int]:
    """Make what is asked for; returns how many CDRs and traces that came to."""
    import redis
    from django.conf import settings
    from django.db import connection

    from calls.clock import wall_clock_ms
    from cdr import rollup
    from tests.lab import live

    slices = Slices(asked.seconds, asked.free_gb)
    traces = slices.make("traces", TRACES, asked.traces)
    cdrs = slices.make("CDRs", CDRS, asked.cdrs)
    with connection.cursor() as cursor:
        with _timed("the attempts of two days"):
            cursor.execute(ATTEMPTS)
        with _timed("analysed"):
            cursor.execute("VACUUM ANALYZE cdr_cdr")
            cursor.execute("ANALYZE")
    with _timed("hourly sums"):
        rollup.all_due()
        while rollup.add_up():
            pass
        for _ in range(rollup.DAYS // rollup.DAYS_AT_ONCE):
            rollup.add_up()
    with _timed(f"{asked.live:,} live calls"), redis.Redis.from_url(settings.REDIS_URL) as client:
        now_ms = wall_clock_ms()
        live.put(
            client,
            (
                live.session(n, now_ms=now_ms, account=f"account-{n % 200}", seconds=n % 3600)
                for n in range(asked.live)
            ),
        )
    return cdrs, traces


def _pages(number: int) -> list[tuple[str, str, int]]:
    """Name, address and limit in ms; ``number`` is that of a call that is searched for."""
    listed = "/admin/cdr/cdr/"
    return [
        ("dashboard", "/admin/", LIMIT_MS),
        ("dashboard, its refresh", "/admin/dashboard/", LIMIT_MS),
        ("CDRs, first page", listed, LIMIT_MS),
        ("CDRs, page 150", f"{listed}?p=150", LIMIT_MS),
        ("CDRs, all times", f"{listed}?window=all", LIMIT_MS),
        ("CDRs of an account, 30 days", f"{listed}?window=30d&account=account-7", LIMIT_MS),
        ("CDRs of a trunk, 30 days", f"{listed}?window=30d&trunk=trunk-3", LIMIT_MS),
        ("CDRs, busy, 24 hours", f"{listed}?disposition__exact=busy", LIMIT_MS),
        ("search: call id", f"{listed}?q=pbx1:{number}.1", LIMIT_MS),
        ("search: SIP Call-ID", f"{listed}?q=sip-{number}@pbx1", LIMIT_MS),
        ("search: first digits, 7 days", f"{listed}?q=4912&window=7d", LIMIT_MS),
        ("report by trunk, 24 hours", "/admin/cdr/reports/?by=trunk", LIMIT_MS),
        ("report by account, 7 days", "/admin/cdr/reports/?by=account&window=7d", LIMIT_MS),
        ("report by hour, 30 days", "/admin/cdr/reports/?by=hour&window=30d", LIMIT_MS),
        ("live calls", "/admin/calls/live/", LIVE_LIMIT_MS),
        ("live calls of an account", "/admin/calls/live/?account=account-7", LIVE_LIMIT_MS),
    ]


def _measure(client: Any, asked: argparse.Namespace) -> int:
    table = Table(title=f"{asked.cdrs:,} CDRs, {asked.traces:,} traces, {asked.live:,} live calls")
    for heading in ("page", "median ms", "slowest ms", "queries", "limit ms", "whole tables read"):
        table.add_column(heading)
    failed = 0
    for name, address, limit_ms in _pages(_middle()):
        client.get(address)
        took: list[float] = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            answer = client.get(address)
            took.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200:
                console.print(f"{name}: status {answer.status_code}")
                failed += 1
        scans, queries = _scans(client, address)
        median = statistics.median(took)
        bad = median > limit_ms or bool(scans)
        failed += bad
        table.add_row(
            f"[red]{name}[/red]" if bad else name,
            f"{median:.0f}",
            f"{max(took):.0f}",
            str(queries),
            str(limit_ms),
            ", ".join(sorted(scans)) or "-",
        )
    console.print(table)
    return 1 if failed else 0


def _middle() -> int:
    """The number of a call that is there."""
    from cdr.models import Cdr

    call = Cdr.objects.order_by("-started_at", "-id").values_list("call_id", flat=True)[1_000]
    return int(call.partition(":")[2].partition(".")[0])


def _scans(client: Any, address: str) -> tuple[set[str], int]:
    """The large tables that a page's queries read from end to end, and how many queries it has."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    found: set[str] = set()
    selects = [query["sql"] for query in captured if query["sql"].lstrip().startswith("SELECT")]
    for sql in selects:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
            (plan,) = cursor.fetchone()
        found |= set(_sequential(plan[0]["Plan"]))
    return {table for table in found if not table.startswith(SMALL)}, len(selects)


def _sequential(plan: dict[str, Any]) -> Iterator[str]:
    if plan["Node Type"].endswith("Seq Scan"):
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from _sequential(part)


if __name__ == "__main__":
    sys.exit(main())
