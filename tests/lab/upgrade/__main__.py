"""Place calls, upgrade in the middle of them, count. Exit code 1 when a call was lost."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from project import __version__
from tests.lab.chaos.document import machine
from tests.lab.chaos.faults import Fault
from tests.lab.chaos.field import BALANCED, Field, field
from tests.lab.chaos.verdict import COLUMNS, Row, row_of
from tests.lab.errors import LabError
from tests.lab.stack import HERE
from tests.lab.upgrade.revisions import checkout_of, described, last_release
from tests.lab.upgrade.rolling import upgrade
from tests.lab.upgrade.witness import Witness, witness

NUMBER = "49301200"
TALK_MS = 2_500
BEFORE_S, AFTER_S = 3.0, 4.0
LONGEST_S = 120
"""Seconds for which calls are placed at most, should a step take long."""
TEXT = """# A rolling upgrade, last tried

Written by `make upgrade-test` on {date}: from {old} to {new}, {rate} calls a second of 2.5 s
through a real Asterisk, {calls} calls in all, on {cores} cores of {machine}, shared by Asterisk,
both ends of SIPp, Redis and PostgreSQL.

The steps of [upgrading](upgrading.md), under load, two seconds apart: {steps}.

{table}

*refused*: heard no 200. *cut*: an answered call that its caller did not end. *CDR missing*: an
answered call without a record that says so. *recovered*: records that rest on what was found, not
heard. *left over*: channels, bridges, sessions and mailboxes a minute later at most. *recovered
after*: the longest time without an answer after a step.

{witnessed}

The ledger afterwards (`manage.py ledger`):

{ledger}
"""

WITNESSED = """| seen meanwhile by a program that asks the API | |
| --- | ---: |
| answers | {answers} |
| of these by the second process | {second} |
| not answered | {unanswered} |
| longest, ms | {longest_ms} |

| and by a receiver of webhooks | |
| --- | ---: |
| told | {told} |
| not told | {missing} |
| told again | {again} |
| wrong signatures | {signatures} |

The program asked for live calls or call records every tenth of a second, one of two `web`
processes, and the other where that one did not answer, as a balancer does. *longest*: from a
question to its answer. *told*: began, was answered, ended, of each answered call, each under one
id. *told again*: messages that came more than once."""

console = Console()


def main() -> int:
    """Run, and give the exit code."""
    options = _options()
    try:
        old = checkout_of(options.origin)
        console.print(f"From {described(options.origin)} …")
        with field(old) as made, witness(made) as seen_by:
            row, steps = _run(made, seen_by, options.rate)
            witnessed, wrong = _witnessed(made, seen_by)
            balance = made.balance()
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    console.print(" | ".join(COLUMNS[1:]))
    console.print(" | ".join(row.cells))
    console.print(witnessed)
    wrong += row.faults
    if BALANCED not in balance:
        wrong.append(f"The ledger does not balance:\n{balance}")
    if options.write and not wrong:
        options.write.write_text(_document(row, steps, witnessed, balance, options))
    for sentence in wrong:
        console.print(f"[red]{sentence}[/red]")
    return 1 if wrong else 0


def _run(made: Field, seen_by: Witness, rate: int) -> tuple[Row, list[str]]:
    steps: list[str] = []
    running = made.caller.start(NUMBER, talk_ms=TALK_MS, count=LONGEST_S * rate, rate=rate)
    try:
        time.sleep(BEFORE_S)
        moments = upgrade(made, seen_by, HERE, steps.append)
        time.sleep(AFTER_S)
    finally:
        calls = running.stop()
    left = 0
    try:
        made.settle()
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        left = len(made.leftovers())
    fault = Fault("upgrade", "a rolling upgrade", lambda _: 0.0)
    seen = calls.seen
    return row_of(fault, seen, made.records(), left, made.places_held(), moments), steps


def _witnessed(made: Field, seen_by: Witness) -> tuple[str, list[str]]:
    """What the API's user and the webhooks' receiver saw, and what of it is wrong."""
    asked = seen_by.stop()
    told, missing, again = seen_by.told(made.answered_ids())
    text = WITNESSED.format(
        answers=f"{asked.answers:,}",
        unanswered=len(asked.unanswered),
        second=asked.second,
        longest_ms=round(asked.longest_s * 1000),
        told=f"{told:,}",
        missing=missing,
        again=again,
        signatures=len(seen_by.receiver.wrong),
    )
    wrong = [f"The API did not answer: {each}." for each in asked.unanswered[:10]]
    if missing:
        wrong.append(f"Webhooks were not told {missing} of what happened.")
    if seen_by.receiver.wrong:
        wrong.append(f"Signatures were wrong: {seen_by.receiver.wrong[0]}.")
    if seen_by.ids_of_one != 1:
        wrong.append(f"One event came under {seen_by.ids_of_one} ids.")
    return text, wrong


def _document(
    row: Row, steps: Sequence[str], witnessed: str, balance: str, options: argparse.Namespace
) -> str:
    lines = [COLUMNS[2:], ["---:"] * (len(COLUMNS) - 2), row.cells[1:]]
    return TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        old=described(options.origin),
        new=f"Ringmaster {__version__}",
        rate=options.rate,
        calls=row.calls,
        cores=os.cpu_count(),
        machine=machine(),
        steps=", ".join(steps),
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
        witnessed=witnessed,
        ledger="\n".join(f"    {line}" for line in balance.splitlines()),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.upgrade")
    parser.add_argument(
        "--from",
        dest="origin",
        default=last_release(),
        metavar="REVISION",
        help="what is upgraded from (default: the last release, else the commit before)",
    )
    parser.add_argument("--rate", type=int, default=20, help="calls a second (default 20)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the result there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
