"""How long the admin's pages take on the server with a large carrier's year in PostgreSQL.

python -m tests.lab.bench.admin [--cdrs 10000000] [--traces 1000000] [--live 10000]
                                [--seconds 450] [--free-gb 5] [--keep FOLDER] [--rows]

Rows are made by the database itself (generate_series), slice by slice, spread over thirty days; the
hourly sums are added up by the product. When the seconds for making them are over, or the disk
would have less left than it is to have, the pages are measured with what there is, and the table
says how much that is; a second run over the same --keep goes on from there (with --rows the first
makes rows alone). Each page is asked for by Django's own client, with all its middleware, and the
plans of its queries are looked at for scans of a whole table. Exit code 1 where a page is over its
limit or scans.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
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


def main() -> int:
    """Run the command line and give its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cdrs", type=int, default=10_000_000)
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=450, help="for making the rows, about")
    parser.add_argument("--free-gb", type=float, default=5.0, help="what the disk keeps free")
    parser.add_argument("--keep", type=Path, help="the database's folder: goes on there, stays")
    parser.add_argument("--rows", action="store_true", help="rows alone, for a later run")
    asked = parser.parse_args()
    from tests.lab.bench.admin_setting import setting

    with setting(asked.keep and asked.keep.resolve()) as client:
        there = _fill(asked)
        return 0 if asked.rows else _measure(client, there)


def _fill(asked: argparse.Namespace) -> str:
    """Make what is asked for; returns what there is."""
    import redis
    from django.conf import settings

    from calls.clock import wall_clock_ms
    from cdr.packing import pack
    from tests.lab import live
    from tests.lab.bench.admin_rows import FOR_ROWS, Filling, timed
    from tests.story.journals import answered

    packed = pack(answered().journal)
    filling = Filling(asked.seconds, asked.free_gb, for_rows=1 if asked.rows else FOR_ROWS)
    filling.rows(cdrs=asked.cdrs, traces=asked.traces, journal=packed)
    if asked.rows:
        return ""
    there = filling.finish()
    with timed(f"{asked.live:,} live calls"), redis.Redis.from_url(settings.REDIS_URL) as client:
        now_ms = wall_clock_ms()
        live.put(
            client,
            (
                live.session(n, now_ms=now_ms, account=f"account-{n % 200}", seconds=n % 3600)
                for n in range(asked.live)
            ),
        )
    return f"{there}, {asked.live:,} live calls"


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
        ("CDRs of a trunk, 30 days", f"{listed}?window=30d&trunk=trunk-5", LIMIT_MS),
        ("CDRs of one never answered", f"{listed}?window=30d&trunk=trunk-3", LIMIT_MS),
        ("CDRs, busy, 24 hours", f"{listed}?disposition__exact=busy", LIMIT_MS),
        ("search: call id", f"{listed}?q=pbx1:{number}.1", LIMIT_MS),
        ("search: SIP Call-ID", f"{listed}?q=sip-{number}@pbx1", LIMIT_MS),
        ("search: first digits, 7 days", f"{listed}?q=4912&window=7d", LIMIT_MS),
        ("report by trunk, 24 hours", "/admin/cdr/reports/?by=trunk", LIMIT_MS),
        ("report by account, 7 days", "/admin/cdr/reports/?by=account&window=7d", LIMIT_MS),
        ("report by prefix, 30 days", "/admin/cdr/reports/?by=prefix&window=30d", LIMIT_MS),
        ("report by hour, 30 days", "/admin/cdr/reports/?by=hour&window=30d", LIMIT_MS),
        ("a call's record", f"{listed}{number}/change/", LIMIT_MS),
        ("a call's story", f"/admin/calls/story/pbx1:{number}.1/", LIMIT_MS),
        ("live calls", "/admin/calls/live/", LIVE_LIMIT_MS),
        ("live calls of an account", "/admin/calls/live/?account=account-7", LIVE_LIMIT_MS),
    ]


def _measure(client: Any, there: str) -> int:
    table = Table(title=there)
    headings = ("page", "first", "median", "slowest", "queries", "limit, ms", "whole tables read")
    for heading in headings:
        table.add_column(heading)
    failed = 0
    for name, address, limit_ms in _pages(_middle()):
        took: list[float] = []
        for _ in range(ROUNDS + 1):
            began = time.perf_counter()
            answer = client.get(address)
            took.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200:
                console.print(f"{name}: status {answer.status_code}")
                failed += 1
        first, *took = took
        scans, queries = _scans(client, address)
        median = statistics.median(took)
        bad = median > limit_ms or bool(scans)
        failed += bad
        table.add_row(
            f"[red]{name}[/red]" if bad else name,
            f"{first:.0f}",
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
    selects = [
        query["sql"] for query in captured if query["sql"].lstrip().startswith(("SELECT", "WITH"))
    ]
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
