"""`make bench-scale`: Ringmaster on ARI doubles, without Asterisk's own cost.

    python -m tests.lab.bench.scale [--up 100,1000,10000] [--rate R] [--seconds S] [--cells 1,2,3]

Two questions, each on real processes, Redis and PostgreSQL:

  * what an event costs while few or many calls are up, and what a call takes of Redis' memory
  * what several cells cost side by side (each with a node, a bridge, a worker and a Redis of its
    own, the database in the middle), as work per CPU second: 3.0 for three is perfect
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.lab import services
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.bench.product import configure, environment_of, manage
from tests.lab.errors import LabError
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import temporary_folder
from tests.lab.stack import Stack, cpu_seconds
from tests.lab.waiting import wait_for

RAMP_RATE = 60
HOLD_S = 3_000.0
"""Calls that are only to be up talk for longer than any measurement."""
TALK_S = 2.0

console = Console()


class Node:
    """An ARI double in a process of its own (tests/lab/bench/node.py)."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.bench.node", "--port", str(self.port)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def order(self, **order: Any) -> dict[str, Any]:
        """Give one order, and its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End it: it ends with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LabError(f"The ARI double ended with exit code {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Cell:
    """A node, a Redis, and the processes that serve it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.node = Node()
        self.server = services.Redis().start()
        address = (
            f"double=http://ringmaster:a%20long%20random%20password@{LOOPBACK}:{self.node.port}"
        )
        self.environment = environment_of(self.server.url, database_url, address)
        self.redis = self.server.client()
        folder.mkdir()
        self.stack = Stack(folder, self.environment)

    def start(self) -> None:
        """Start its processes and wait until the bridge listens."""
        self.stack.start()
        for name in ("calls", "records"):
            self.stack.wait_one_ready(name)
        wait_for(
            lambda: self.node.order()["listened_to"],
            timeout_s=30,
            failure=lambda: f"The bridge does not listen:\n{self.stack.log('bridge')[-2000:]}",
        )

    @property
    def cpu_s(self) -> float:
        """CPU of its processes and Redis so far."""
        pids = [self.stack.pid(name) for name in self.stack.names]
        return sum(cpu_seconds(pid) for pid in (*pids, self.server.pid))

    @property
    def live(self) -> int:
        """Calls that Redis knows."""
        return int(self.redis.zcard("ringmaster:attend"))

    def memory(self) -> int:
        """Bytes that Redis uses."""
        return int(self.redis.info("memory")["used_memory"])

    def close(self) -> None:
        """End everything of it."""
        self.stack.stop()
        self.node.close()
        self.server.stop()


@dataclass(frozen=True)
class Measured:
    """One load on so many cells, with so many calls up."""

    cells: int
    up: int
    calls: int
    events: int
    cpu_s: float
    delay_p50_ms: float
    delay_p99_ms: float
    memory_a_call: float
    """Bytes of Redis for a call that is up."""

    @property
    def cpu_us_an_event(self) -> float:
        """CPU in µs an event that a node sent."""
        return self.cpu_s / self.events * 1e6


@contextlib.contextmanager
def cells(count: int) -> Iterator[Sequence[Cell]]:
    """So many cells, up, with one database in the middle."""
    folder = temporary_folder("scale")
    with services.database_url() as database_url, contextlib.ExitStack() as stack:
        made = []
        for number in range(count):
            made.append(Cell(folder / str(number), database_url))
            stack.callback(made[-1].close)
        manage(made[0].environment, "migrate", "--verbosity", "0")
        configure(made[0].environment)
        for cell in made:
            cell.start()
        yield made


def measure(made: Sequence[Cell], *, up: int, rate: float, seconds: float) -> Measured:
    """Bring each cell to so many calls up, then measure further calls beside them."""
    empty = sum(cell.memory() for cell in made)
    for cell in made:
        have = cell.node.order()["up"]
        cell.node.order(place=up - have, rate=RAMP_RATE, hold_s=HOLD_S)
    for cell in made:
        wait_for(
            lambda cell=cell: cell.live >= up,  # type: ignore[misc]
            timeout_s=60 + 2 * up / RAMP_RATE,
            failure=lambda cell=cell: f"{cell.live} of {up} calls are up.",  # type: ignore[misc]
        )
    memory = (sum(cell.memory() for cell in made) - empty) / (up * len(made)) if up else 0.0
    for cell in made:
        cell.node.order(tell=True)
    cpu = sum(cell.cpu_s for cell in made)
    count = int(rate * seconds)
    for cell in made:
        cell.node.order(place=count, rate=rate, hold_s=TALK_S)
    time.sleep(seconds + TALK_S)
    for cell in made:
        wait_for(
            lambda cell=cell: cell.live <= up,  # type: ignore[misc]
            timeout_s=60,
            failure=lambda cell=cell: f"{cell.live} calls live, {up} should.",  # type: ignore[misc]
        )
    spent = sum(cell.cpu_s for cell in made) - cpu
    told = [cell.node.order(tell=True) for cell in made]
    delays = quantiles([delay for each in told for delay in each["delays_ms"]], n=100)
    return Measured(
        cells=len(made),
        up=up,
        calls=count * len(made),
        events=sum(each["events"] for each in told),
        cpu_s=spent,
        delay_p50_ms=delays[49],
        delay_p99_ms=delays[98],
        memory_a_call=memory,
    )


def main() -> int:
    """Measure, and show both tables."""
    options = _options()
    table = Table(title=f"{options.rate} calls/s a cell for {options.seconds} s beside those up")
    for heading in (
        "cells",
        "up",
        "calls",
        "events",
        "CPU, µs an event",
        "entry → create p50 / p99",
    ):
        table.add_column(heading, justify="right")
    table.add_column("Redis, bytes a call up", justify="right")
    try:
        ups = _of_one_cell(options)
        several = _of_several(options)
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    for each in (*ups, *several):
        table.add_row(
            *(str(value) for value in (each.cells, each.up, each.calls, each.events)),
            f"{each.cpu_us_an_event:.0f}",
            f"{each.delay_p50_ms:.1f} / {each.delay_p99_ms:.1f} ms",
            f"{each.memory_a_call:.0f}" if each.memory_a_call else "-",
        )
    console.print(table)
    if len(ups) > 1:
        ratio = ups[-1].cpu_us_an_event / ups[0].cpu_us_an_event
        console.print(f"CPU an event, {ups[-1].up} up ÷ {ups[0].up} up: {ratio:.2f}")
    for each in several[1:]:
        ratio = each.cells * several[0].cpu_us_an_event / each.cpu_us_an_event
        console.print(f"{each.cells} cells ÷ one, work per CPU second: {ratio:.2f}")
    return 0


def _of_one_cell(options: argparse.Namespace) -> list[Measured]:
    measured = []
    with cells(1) as made:
        # The first load finds every connection open.
        measure(made, up=0, rate=20, seconds=3)
        for up in options.up:
            console.print(f"One cell, {up} calls up …")
            measured.append(measure(made, up=up, rate=options.rate, seconds=options.seconds))
    return measured


def _of_several(options: argparse.Namespace) -> list[Measured]:
    measured = []
    for count in options.cells:
        console.print(f"{count} cells side by side …")
        with cells(count) as made:
            measure(made, up=0, rate=20, seconds=3)
            rate = options.rate / max(options.cells)
            measured.append(measure(made, up=0, rate=rate, seconds=options.seconds))
    return measured


def _options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",") if number]

    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench.scale")
    parser.add_argument("--up", type=numbers, default=[100, 1_000, 10_000], help="calls up")
    parser.add_argument("--rate", type=int, default=60, help="calls a second beside them")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--cells", type=numbers, default=[1, 2, 3])
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
