"""Route choice over many routes on PostgreSQL: how long a call waits, and what is remembered.

    python -m tests.lab.bench.routes [--routes N] [--calls N]

Makes a private PostgreSQL (or takes DATABASE_URL with an empty database), fills it, and asks a
worker's directory for numbers that it has not seen, and for them again. Exits 1 when the query
does not use the indexes, or when a process remembers more than it may. Times are reported, not
judged: they depend on the machine.
"""

import argparse
import asyncio
import gc
import io
import math
import os
import random
import secrets
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.lab import services
from tests.lab.errors import LabError

ACCOUNTS = 1000
TRUNKS = 50
TARGETS_EACH = 2
OWN = 10
"""One route in so many belongs to one account."""
CHUNK = 50_000
NOW_MS = 1_795_000_000_000
SEED = 7
"""The same routes and numbers at each run."""

console = Console()


@dataclass(frozen=True)
class Figures:
    """What was measured. Times are sorted, in milliseconds; memory is resident, in bytes."""

    routes: int
    unseen_ms: list[float]
    at_once_ms: list[float]
    seen_ms: list[float]
    rss_begin: int
    rss_full: int
    rss_later: int
    remembered: int
    plan: str

    @property
    def wrong(self) -> list[str]:
        """What is not as it must be, in sentences."""
        from calls.store.directory import REMEMBERED

        found = [
            f"The query reads the whole of {table}:\n{self.plan}"
            for table in ("calls_route", "calls_routetarget", "calls_block")
            if f"Seq Scan on {table} " in self.plan
        ]
        if self.remembered > REMEMBERED:
            found.append(f"{self.remembered} answers are remembered, more than {REMEMBERED}.")
        return found


def percentile(ordered: list[float], percent: float) -> float:
    """The nearest-rank percentile of sorted values."""
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def run(routes: int, calls: int) -> Figures:
    """Fill the database that Django is set up for, and measure."""
    prefixes = fill(routes)
    # The collector should not walk through what is the bench's own and no worker's.
    gc.collect()
    gc.freeze()
    # The loop that workers have.
    measured = uvloop.run(_measure(prefixes, calls))
    return Figures(len(prefixes), *measured, _plan(prefixes))


def fill(routes: int) -> list[str]:
    """Accounts, trunks, so many routes and a tenth as many blocklist entries; gives prefixes."""
    from django.db import connection

    from calls.models import Account, Trunk

    Account.objects.bulk_create(
        Account(code=f"account{n}", name=f"Account {n}", country_code="49", national_prefix="0")
        for n in range(ACCOUNTS)
    )
    Trunk.objects.bulk_create(
        Trunk(name=f"trunk{n}", dial_string=f"PJSIP/{{number}}@trunk{n}") for n in range(TRUNKS)
    )
    accounts = list(Account.objects.values_list("id", flat=True))
    trunks = list(Trunk.objects.values_list("id", flat=True))
    prefixes = _prefixes(routes)
    draw = random.Random(SEED)
    with _progress() as progress, connection.cursor() as cursor:
        task = progress.add_task("Routes", total=routes)
        for begin in range(0, routes, CHUNK):
            some = range(begin + 1, min(begin + CHUNK, routes) + 1)
            _copy(cursor, "calls_route", ROUTE, (_route(n, prefixes, accounts) for n in some))
            lines = (line for n in some for line in _targets(n, draw.sample(trunks, TARGETS_EACH)))
            _copy(cursor, "calls_routetarget", TARGET, lines)
            blocks = (_block(n, prefixes[n - 1], accounts) for n in some if n % 10 == 0)
            _copy(cursor, "calls_block", BLOCK, blocks)
            progress.advance(task, len(some))
        cursor.execute("VACUUM ANALYZE")
    return prefixes


def _prefixes(count: int) -> list[str]:
    """Different prefixes of 3 to 12 digits, most of them as long as carriers' lists have them."""
    draw = random.Random(SEED)
    found: dict[str, None] = {}
    while len(found) < count:
        digits = draw.choices(range(3, 13), (1, 2, 4, 8, 16, 20, 20, 15, 10, 4))[0]
        found[str(draw.randrange(10 ** (digits - 1), 10**digits))] = None
    return list(found)


ROUTE = "id, prefix, account_id, action, enabled, schedule, note"
TARGET = "route_id, trunk_id, priority, weight, strip_digits, add_prefix"
BLOCK = "side, prefix, account_id, enabled, note"


def _route(n: int, prefixes: list[str], accounts: list[int]) -> tuple[object, ...]:
    owner = accounts[n % len(accounts)] if n % OWN == 0 else "\\N"
    return n, prefixes[n - 1], owner, "route", "t", "daily 00:00-24:00" if n % 20 == 0 else "", ""


def _targets(n: int, trunks: list[int]) -> Iterator[tuple[object, ...]]:
    return ((n, trunk, priority, 100, 0, "") for priority, trunk in enumerate(trunks, start=1))


def _block(n: int, prefix: str, accounts: list[int]) -> tuple[object, ...]:
    side = "caller" if n % 20 else "callee"
    # Whole numbers, so that most calls are still routed.
    return side, f"{prefix}00000000000000"[:15], accounts[n % len(accounts)], "t", ""


def _copy(cursor: Any, table: str, columns: str, rows: Iterator[tuple[object, ...]]) -> None:
    from psycopg2 import extensions

    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    # COPY does not go with the way in which Ringmaster's own connections wait (cdr/patience.py).
    waits = extensions.get_wait_callback()
    extensions.set_wait_callback(None)
    try:
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.StringIO(text))
    finally:
        extensions.set_wait_callback(waits)


async def _measure(
    prefixes: list[str], calls: int
) -> tuple[list[float], list[float], list[float], int, int, int, int]:
    from calls.store import directory as directory_module
    from calls.store.directory import Directory

    directory = Directory(7200)
    await directory.warm()
    draw = random.Random(SEED + 1)
    asked = iter(lambda: _facts(draw, prefixes), None)
    room = directory_module.REMEMBERED
    begin = _own_rss()
    with _progress() as progress:
        unseen = list(islice(asked, calls))
        first = await _one_by_one(directory, unseen, calls, progress, "Numbers not seen before")
        again = unseen[-room // 2 :]
        known = await _one_by_one(directory, again, len(again), progress, "The same again")
        at_once = await _four_at_once(directory, asked, calls, progress)
        fill = min(room, calls * 2)
        await _one_by_one(directory, asked, fill, progress, "Filling the memory")
        full = _own_rss()
        await _one_by_one(directory, asked, fill, progress, "As many again")
        later = _own_rss()
    remembered = len(directory._accounts._kept)
    directory.close()
    return first, at_once, known, begin, full, later, remembered


def _facts(draw: random.Random, prefixes: list[str]) -> Any:
    from calls.routing.choice import CallFacts

    prefix = draw.choice(prefixes)
    rest = str(draw.randrange(10**11, 10**12))[: 13 - len(prefix)]
    caller = str(draw.randrange(10**11, 10**12))
    keys = (f"account{draw.randrange(ACCOUNTS)}", "endpoint")
    return CallFacts(f"n:{draw.random()}", f"00{prefix}{rest}", caller, keys, NOW_MS)


async def _one_by_one(
    directory: Any, calls: Iterable[Any], count: int, progress: Progress, what: str
) -> list[float]:
    task = progress.add_task(what, total=count)
    spent = []
    for facts in islice(calls, count):
        spent.append(await _timed(directory, facts))
        progress.advance(task)
    return sorted(spent)


async def _four_at_once(
    directory: Any, calls: Iterator[Any], count: int, progress: Progress
) -> list[float]:
    task = progress.add_task("Not seen before, 4 at once", total=count)
    spent: list[float] = []
    while len(spent) < count:
        some = list(islice(calls, 4))
        spent += await asyncio.gather(*(_timed(directory, facts) for facts in some))
        progress.advance(task, len(some))
    return sorted(spent)


async def _timed(directory: Any, facts: Any) -> float:
    began = time.perf_counter()
    await directory.find(facts, 1)
    return (time.perf_counter() - began) * 1000


def _plan(prefixes: list[str]) -> str:
    """What PostgreSQL does for one call, as EXPLAIN ANALYZE tells it."""
    from django.db import connection

    from calls.store.lookup import parameters, query

    with connection.cursor() as cursor:
        cursor.execute(
            "EXPLAIN (ANALYZE, COSTS OFF, SUMMARY ON) " + query("postgresql", 2, True, True),
            parameters(("account1", "endpoint"), f"00{prefixes[0]}123", "4930123456"),
        )
        return "\n".join(line for (line,) in cursor.fetchall())


def report(figures: Figures) -> None:
    """Print what was measured."""
    table = Table(title=f"Route choice over {figures.routes:,} routes")
    for heading in ("", "p50", "p99", "worst", "calls"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, spent in (
        ("number not seen before, ms", figures.unseen_ms),
        ("the same, 4 at once, ms", figures.at_once_ms),
        ("number seen before, ms", figures.seen_ms),
    ):
        shown = (statistics.median(spent), percentile(spent, 99), spent[-1])
        table.add_row(name, *(f"{value:.3f}" for value in shown), f"{len(spent):,}")
    console.print(table)
    console.print(
        f"Resident memory: {figures.rss_begin / 1e6:.0f} MB at the start, "
        f"{figures.rss_full / 1e6:.0f} MB with {figures.remembered:,} callees remembered, "
        f"{figures.rss_later / 1e6:.0f} MB after as many other calls again."
    )


def _own_rss() -> int:
    """Resident memory of this process, without its PostgreSQL, in bytes."""
    resident = Path("/proc/self/statm").read_text().split()[1]
    return int(resident) * os.sysconf("SC_PAGESIZE")


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description:<27}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


def main() -> int:
    """Run it and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench.routes")
    parser.add_argument("--routes", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--calls", type=int, default=10_000, help="default 10,000")
    parser.add_argument("--explain", action="store_true", help="print PostgreSQL's plan as well")
    options = parser.parse_args()
    try:
        with services.database_url() as url:
            os.environ |= {
                "DATABASE_URL": os.environ.get("DATABASE_URL", url),
                "DJANGO_SETTINGS_MODULE": "project.settings",
                "SECRET_KEY": secrets.token_urlsafe(50),
                "LOG_LEVEL": "WARNING",
            }
            figures = _on_empty_database(options)
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    report(figures)
    if options.explain:
        console.print(figures.plan, markup=False)
    for sentence in figures.wrong:
        console.print(sentence, style="red", markup=False)
    return 1 if figures.wrong else 0


def _on_empty_database(options: argparse.Namespace) -> Figures:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0)
    try:
        return run(options.routes, options.calls)
    finally:
        connections.close_all()


if __name__ == "__main__":
    sys.exit(main())
