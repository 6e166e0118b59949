"""What the demo shows: the calls while they are up, and their records afterwards.

On a terminal the calls are a table that changes; elsewhere each change of a call is a line.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from calls.text import printable
from tests.lab.demo.scenario import DemoCall
from tests.lab.demo.verdict import Judged, Record

WIDE = 150
"""Columns where no terminal says how many there are."""
STYLES = {
    "placed": "dim",
    "ringing": "yellow",
    "early media": "yellow",
    "talking": "bold green",
    "answered": "green",
    "busy": "magenta",
    "no answer": "magenta",
    "cancelled": "magenta",
}


@dataclass(frozen=True)
class Shown:
    """What one call's line says."""

    state: str
    trunk: str = ""
    since: float = 0.0
    """When the state began, in seconds since the Unix epoch."""
    over: bool = False


def stdout() -> Console:
    """Standard output, wide enough for the tables where it is no terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


class Board:
    """The calls as they ring, talk and end. ``with`` it, and tell it what each call does."""

    def __init__(self, console: Console, calls: Sequence[DemoCall]) -> None:
        self._console = console
        self._shown: dict[DemoCall, Shown | None] = dict.fromkeys(calls)
        self._began = time.time()
        self._live = (
            Live(get_renderable=self._table, console=console, refresh_per_second=8)
            if console.is_terminal
            else None
        )

    def tell(self, call: DemoCall, shown: Shown) -> None:
        """The call does this now; saying so again changes nothing."""
        before = self._shown[call]
        if before == shown or (before is not None and before.over):
            return
        self._shown[call] = shown
        if self._live is None and (before is None or before.state != shown.state):
            at = f"{time.time() - self._began:6.1f} s"
            line = f"{at}  {call.user:<8} {printable(call.number):<34} {shown.state:<12}"
            self._console.print(f"{line} {shown.trunk}".rstrip(), markup=False, soft_wrap=True)

    def __enter__(self) -> "Board":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _table(self) -> Table:
        table = Table(title="Calls", box=box.SIMPLE_HEAD)
        for heading in ("caller", "dials", "what happens", "trunk"):
            table.add_column(heading, overflow="ellipsis", no_wrap=True)
        table.add_column("state", no_wrap=True, min_width=14)
        table.add_column("for", no_wrap=True, justify="right", min_width=4)
        for call, shown in self._shown.items():
            shown = shown or Shown("")
            length = "" if shown.over or not shown.since else f"{time.time() - shown.since:.0f} s"
            table.add_row(
                call.user,
                Text(printable(call.number)),
                call.title,
                shown.trunk,
                Text(shown.state, style=STYLES.get(shown.state, "cyan" if not shown.over else "")),
                length,
            )
        return table


def records(judged: Sequence[Judged]) -> Table:
    """The call records, in the order in which the calls were placed."""
    table = Table(title="Call records", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True, min_width=1)
    for heading in ("call", "caller", "callee", "disposition", "ended by"):
        table.add_column(heading, overflow="fold")
    for heading in ("SIP", "Q.850", "talk"):
        table.add_column(heading, justify="right")
    table.add_column("reason", overflow="fold")
    for each in judged:
        mark = Text("✗", "bold red") if each.faults else Text("✓", "green")
        table.add_row(mark, each.call.title, *_cells(each.call, each.record))
    return table


def _cells(call: DemoCall, record: Record | None) -> list[Text]:
    if record is None:
        return [Text(call.user), Text(printable(call.number))]
    return [
        Text(printable(record.caller_received)),
        Text(printable(record.callee_received)),
        Text(record.disposition),
        Text(record.ended_by),
        *(
            Text("-" if code is None else str(code))
            for code in (record.sip_code, record.q850_cause)
        ),
        Text(f"{record.talk_ms / 1000:.3f} s" if record.talk_ms else "-"),
        Text(printable(record.reason)),
    ]
