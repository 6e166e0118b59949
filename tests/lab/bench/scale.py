"""`make bench-scale`: Ringmaster on ARI doubles, without Asterisk's own cost.

    python -m tests.lab.bench.scale [--up 100,1000,10000] [--rate R] [--seconds S] [--cells 1,2,3]
                                    [--rates 100,200,…,1000] [--bridges 1,2]

Four questions, each on real processes, Redis and PostgreSQL:

  * what an event costs while few or many calls are up, and what a call takes of Redis' memory,
    with its journal and without
  * how many calls a second one cell carries: rates that rise until calls take `TOO_LATE_MS` to be
    called on
  * what several cells cost side by side (each with a node, a bridge, a worker and a Redis of its
    own, the database in the middle), as work per CPU second: 3.0 for three is perfect
  * the same with one node whose calls are spread over several applications, each with a cell
"""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.lab import services
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.bench.journal import SETTINGS, WITHOUT
from tests.lab.bench.product import configure, environment_of, manage
from tests.lab.errors import LabError
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import temporary_folder
from tests.lab.stack import Stack, cpu_seconds
from tests.lab.waiting import wait_for

RAMP_RATE = 60
TOO_LATE_MS = 1_000.0
"""A median from a caller's entry to the request that calls on above which a rate is too high."""
HOLD_S = 3_000.0
"""Calls that are only to be up talk for longer than any measurement."""
TALK_S = 2.0
MOST_WITHOUT = 1_000
"""Calls that are brought up without journals: bytes a call differ little beyond."""

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
    """A node or a part of its calls, a Redis, and the processes that serve them."""

    def __init__(
        self, folder: Path, database_url: str, node: Node, app: str, settings: Mapping[str, str]
    ) -> None:
        self.node = node
        self.app = app
        self.server = services.Redis().start()
        address = f"http://ringmaster:a%20long%20random%20password@{LOOPBACK}:{node.port}"
        self.environment = environment_of(self.server.url, database_url, f"{app}={address}")
        self.environment |= {"ARI_APP": app, **settings}
        self.redis = self.server.client()
        folder.mkdir()
        self.stack = Stack(folder, self.environment)

    def start(self) -> None:
        """Start its processes and wait until the bridge listens."""
        self.stack.start()
        for name in ("calls", "records"):
            self.stack.wait_one_ready(name)
        wait_for(
            lambda: self.app in self.node.order()["applications"],
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
        self.server.stop()


@dataclass(frozen=True)
class Measured:
    """One load on so many cells, with so many calls up."""

    what: str
    cells: int
    up: int
    rate: float
    """Calls a second of each cell."""
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
def cells(
    count: int, *, nodes: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Sequence[Cell]]:
    """So many cells, up, with one database in the middle; each with a node of its own, or an
    application on one of ``nodes``."""
    folder = temporary_folder("scale")
    with services.database_url() as database_url, contextlib.ExitStack() as stack:
        far = [Node() for _ in range(nodes or count)]
        for node in far:
            stack.callback(node.close)
        made = []
        for number in range(count):
            node, app = far[number % len(far)], f"ringmaster{number}"
            made.append(Cell(folder / str(number), database_url, node, app, settings or {}))
            stack.callback(made[-1].close)
        manage(made[0].environment, "migrate", "--verbosity", "0")
        configure(made[0].environment)
        for cell in made:
            cell.start()
        yield made


def measure(
    made: Sequence[Cell], *, up: int, rate: float, seconds: float, what: str = ""
) -> Measured:
    """Bring each cell to so many calls up, then measure further calls beside them."""
    empty = sum(cell.memory() for cell in made)
    for cell in made:
        cell.node.order(place=up - cell.live, rate=RAMP_RATE, hold_s=HOLD_S, app=cell.app)
    for cell in made:
        wait_for(
            lambda cell=cell: cell.live >= up,  # type: ignore[misc]
            timeout_s=60 + 2 * up / RAMP_RATE,
            failure=lambda cell=cell: f"{cell.live} of {up} calls are up.",  # type: ignore[misc]
        )
    memory = (sum(cell.memory() for cell in made) - empty) / (up * len(made)) if up else 0.0
    nodes = list(dict.fromkeys(cell.node for cell in made))
    for node in nodes:
        node.order(tell=True)
    cpu = sum(cell.cpu_s for cell in made)
    count = int(rate * seconds)
    for cell in made:
        cell.node.order(place=count, rate=rate, hold_s=TALK_S, app=cell.app)
    time.sleep(seconds + TALK_S)
    for cell in made:
        wait_for(
            lambda cell=cell: cell.live <= up,  # type: ignore[misc]
            timeout_s=60,
            failure=lambda cell=cell: f"{cell.live} calls live, {up} should.",  # type: ignore[misc]
        )
    spent = sum(cell.cpu_s for cell in made) - cpu
    told = [node.order(tell=True) for node in nodes]
    delays = quantiles([delay for each in told for delay in each["delays_ms"]], n=100)
    return Measured(
        what=what,
        cells=len(made),
        up=up,
        rate=round(rate, 1),
        calls=count * len(made),
        events=sum(each["events"] for each in told),
        cpu_s=spent,
        delay_p50_ms=delays[49],
        delay_p99_ms=delays[98],
        memory_a_call=memory,
    )


def main() -> int:
    """Measure, and show every table."""
    options = _options()
    try:
        ups = _of_one_cell("one cell", options.up, options)
        some = [up for up in options.up if up <= MOST_WITHOUT]
        bare = _of_one_cell("one cell, no journals", some[-1:], options, SETTINGS[WITHOUT])
        rising = _rising(options)
        several = [_each_its_node(count, options) for count in options.cells]
        spread = [_on_one_node(count, options) for count in options.bridges]
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    _show([*ups, *bare, *rising, *several, *spread])
    if len(ups) > 1:
        ratio = ups[-1].cpu_us_an_event / ups[0].cpu_us_an_event
        console.print(f"CPU an event, {ups[-1].up} up ÷ {ups[0].up} up: {ratio:.2f}")
    for each in several[1:]:
        ratio = each.cells * several[0].cpu_us_an_event / each.cpu_us_an_event
        console.print(f"{each.cells} cells ÷ one, work per CPU second: {ratio:.2f}")
    return 0


def _show(rows: Sequence[Measured]) -> None:
    table = Table(title="each load beside the calls that are up")
    table.add_column("")
    for heading in ("up", "calls/s", "calls", "CPU, µs an event", "entry → create p50 / p99, ms"):
        table.add_column(heading, justify="right")
    table.add_column("Redis, bytes a call up", justify="right")
    for each in rows:
        table.add_row(
            each.what,
            *(str(value) for value in (each.up, each.rate, each.calls)),
            f"{each.cpu_us_an_event:.0f}",
            f"{each.delay_p50_ms:.1f} / {each.delay_p99_ms:.1f}",
            f"{each.memory_a_call:.0f}" if each.memory_a_call else "-",
        )
    console.print(table)


def _of_one_cell(
    what: str,
    ups: Sequence[int],
    options: argparse.Namespace,
    settings: Mapping[str, str] | None = None,
) -> list[Measured]:
    measured: list[Measured] = []
    if not ups:
        return measured
    with cells(1, settings=settings) as made:
        _warm_up(made)
        for up in ups:
            console.print(f"{what}, {up} calls up …")
            load = {"rate": options.rate, "seconds": options.seconds}
            measured.append(measure(made, up=up, what=what, **load))
    return measured


def _rising(options: argparse.Namespace) -> list[Measured]:
    measured: list[Measured] = []
    if not options.rates:
        return measured
    with cells(1) as made:
        _warm_up(made)
        for rate in options.rates:
            console.print(f"One cell, {rate} calls/s …")
            what = "one cell, rising"
            try:
                found = measure(made, up=0, rate=rate, seconds=options.seconds, what=what)
            except LabError as error:
                console.print(f"{rate} calls/s are too many for it on this machine: {error}")
                break
            measured.append(found)
            if found.delay_p50_ms > TOO_LATE_MS:
                console.print(f"{rate} calls/s are too many for it on this machine.")
                break
    return measured


def _each_its_node(count: int, options: argparse.Namespace) -> Measured:
    """Every cell with the part of the rate that it has where there are most of them."""
    rate = options.rate / max(options.cells)
    return _together(f"{count} cells, a node each", rate, options, count)


def _on_one_node(count: int, options: argparse.Namespace) -> Measured:
    """The whole rate, spread over the cells."""
    what = f"one node, {count} bridges"
    return _together(what, options.rate / count, options, count, nodes=1)


def _together(
    what: str, rate: float, options: argparse.Namespace, count: int, nodes: int | None = None
) -> Measured:
    console.print(f"{what} …")
    with cells(count, nodes=nodes) as made:
        _warm_up(made)
        return measure(made, up=0, rate=rate, seconds=options.seconds, what=what)


def _warm_up(made: Sequence[Cell]) -> None:
    """Let the first load find every connection open."""
    measure(made, up=0, rate=20, seconds=3)


def _options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",") if number]

    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench.scale")
    parser.add_argument("--up", type=numbers, default=[100, 1_000, 10_000], help="calls up")
    parser.add_argument("--rate", type=int, default=60, help="calls a second beside them")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--cells", type=numbers, default=[1, 2, 3], help="with a node each")
    parser.add_argument("--bridges", type=numbers, default=[1, 2], help="cells on one node")
    parser.add_argument(
        "--rates",
        type=numbers,
        default=[100, 150, 200, 250, 300, 400, 600, 800, 1_000],
        help="calls a second of one cell, rising until they are too many",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
