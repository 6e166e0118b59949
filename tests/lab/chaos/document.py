"""The table in Markdown, with what is needed to run it again."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.lab.chaos.verdict import COLUMNS, Row

TEXT = """# Chaos

Real SIP calls through a real Asterisk, each of 2.5 s, while what stands in the first column happens
to Ringmaster: two bridges (one listens, one stands by), two `calls` workers, one `records` worker,
Redis and PostgreSQL. What dies is started again at once, as by a supervisor. Counted from outside:
SIPp's own calls, found among the CDRs by their SIP Call-ID, and Asterisk's own listing once all is
quiet.

Written by `make chaos` on {date}: seed {seed}, {rate} calls a second, {calls} calls in
{minutes:.0f} minutes, on {cores} cores of {machine}, shared by Asterisk, both ends of SIPp,
Redis and PostgreSQL.

{table}

*refused*: heard no 200. *cut*: an answered call that its caller did not end. *CDR missing*: an
answered call without a CDR that says so. *recovered*: CDRs that rest on what was found, not heard.
*left over*: channels, bridges, sessions and mailboxes a minute later at most. *places leaked*:
places among the limits that are held when no call is up. *recovered after*: the longest time
without an answer, from a strike on where another process stands in, else from the moment in which
what had failed was back.

Clocks are stepped with libfaketime, four seconds each way; the monotonic clock stays.

The ledger afterwards (`manage.py ledger`):

{ledger}
"""


def document(rows: Sequence[Row], seed: int, rate: int, took_s: float, ledger: str) -> str:
    """The whole of docs/chaos.md."""
    lines = [
        COLUMNS,
        ("---", *["---:"] * (len(COLUMNS) - 1)),
        *((row.fault.title, *row.cells) for row in rows),
    ]
    return TEXT.format(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        seed=seed,
        rate=rate,
        calls=sum(row.calls for row in rows),
        minutes=took_s / 60,
        cores=os.cpu_count(),
        machine=machine(),
        ledger="\n".join(f"    {line}" for line in ledger.splitlines()),
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
    )


def machine() -> str:
    """What this machine's processor is called."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
