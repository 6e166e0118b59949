"""Run the rows, print the table, write it down. Exit code 1 when something is not as it must be."""

import argparse
import random
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.lab.chaos.document import document
from tests.lab.chaos.faults import BY_NAME, FAULTS, SHORT, Fault
from tests.lab.chaos.field import BALANCED, Field, field
from tests.lab.chaos.verdict import COLUMNS, Row, row_of
from tests.lab.errors import LabError
from tests.lab.sip import Calls, RunningCalls
from tests.lab.waiting import wait_for

NUMBER = "49301200"
TALK_MS = 2_500
ABANDONED_S = 8.0
"""How long a caller may wait whose Asterisk has died under the call."""
BEFORE_S, AFTER_S = 2.0, 3.0
"""Load before the first strike and after the last."""

console = Console()


def main() -> int:
    """Run, and give the exit code."""
    options = _options()
    chance = random.Random(options.seed)
    console.print(f"Seed {options.seed}: give it with --seed to strike at the same moments.")
    began, rows, balance = time.monotonic(), [], ""
    try:
        with field() as made:
            for fault in options.rows:
                rows.append(run(made, fault, chance, options.rate, options.strikes))
                console.print(f"{fault.name}: {' | '.join(rows[-1].cells)}")
            balance = made.balance()
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    finally:
        if rows:
            _show(rows)
    wrong = [sentence for row in rows for sentence in row.faults]
    if options.write:
        options.write.write_text(
            document(rows, options.seed, options.rate, time.monotonic() - began, balance)
        )
    if BALANCED not in balance:
        wrong.append(f"The ledger does not balance:\n{balance}")
    for sentence in wrong:
        console.print(f"[red]{sentence}[/red]")
    return 1 if wrong else 0


def run(made: Field, fault: Fault, chance: random.Random, rate: int, strikes: int | None) -> Row:
    """One row: a load, and the fault several times in it."""
    with fault.prepared(made):
        return _run(made, fault, chance, rate, strikes or fault.strikes)


def _run(made: Field, fault: Fault, chance: random.Random, rate: int, many: int) -> Row:
    count = round((BEFORE_S + AFTER_S + many * (fault.each_s + 1)) * rate)
    running = made.caller.start(NUMBER, talk_ms=TALK_MS, count=count, rate=rate)
    time.sleep(BEFORE_S)
    since = []
    for _ in range(many):
        # At any moment of a call, and of whatever happens once a second.
        time.sleep(chance.uniform(0, 1))
        began = time.monotonic()
        since.append(fault.strike(made))
        made.restore()
        time.sleep(max(0.0, fault.each_s - (time.monotonic() - began)))
    calls = _all_of(running, count) if fault.cuts else running.wait(timeout_s=180)
    left = 0
    try:
        made.settle()
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        left = len(made.leftovers())
    return row_of(fault, calls.seen, made.records(), left, made.places_held(), since)


def _all_of(running: RunningCalls, count: int) -> Calls:
    """Every call, where callers may wait for an Asterisk that knows nothing of them any more."""
    wait_for(
        lambda: len(running.seen()) >= count,
        timeout_s=180,
        failure=lambda: f"Only {len(running.seen())} of {count} calls were placed.",
        poll_s=0.5,
    )
    time.sleep(ABANDONED_S)
    return running.stop()


def _options() -> argparse.Namespace:
    def rows(text: str) -> list[Fault]:
        unknown = [name for name in text.split(",") if name not in BY_NAME]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"there is no row {', '.join(unknown)}; there are {', '.join(BY_NAME)}"
            )
        return [BY_NAME[name] for name in text.split(",")]

    parser = argparse.ArgumentParser(prog="python -m tests.lab.chaos")
    parser.add_argument("--rows", type=rows, default=list(FAULTS), metavar="NAME,…",
                        help="only these: " + ", ".join(BY_NAME))  # fmt: skip
    short = [BY_NAME[name] for name in SHORT]
    parser.add_argument(
        "--short", dest="rows", action="store_const", const=short, help="what the tests run"
    )
    parser.add_argument("--rate", type=int, default=20, help="calls a second (default 20)")
    parser.add_argument("--strikes", type=int, help="strikes a row (default: by the fault)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table there")
    return parser.parse_args()


def _show(rows: list[Row]) -> None:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(row.fault.name, *row.cells, style="red" if row.faults else None)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
