"""`make bench`: a bare program, then Ringmaster, under the same calls on the same Asterisk.

    python -m tests.lab.bench [--rate CALLS] [--seconds S] [--parallel CALLS]

Exits 1 when a call failed, a CDR is missing or double, or something was left over. Times and CPU
are reported, not judged: they depend on the machine.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.lab import services
from tests.lab.asterisk import Asterisk
from tests.lab.bench import load
from tests.lab.bench.product import Product
from tests.lab.errors import LabError
from tests.lab.processes import Child, temporary_folder
from tests.lab.sip import Caller, Carrier, RunningCalls
from tests.lab.waiting import wait_for

console = Console()
WARM_UP_S = 4


def main() -> int:
    """Run everything and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench")
    parser.add_argument("--rate", type=int, default=50, help="calls a second (default 50)")
    parser.add_argument("--seconds", type=int, default=30, help="length of the load (default 30)")
    parser.add_argument("--parallel", type=int, default=200, help="tt-monkeys calls at once")
    options = parser.parse_args()
    folder = temporary_folder("bench")
    try:
        with Asterisk() as asterisk, Carrier(asterisk.carrier_ports["carrier-a"]):
            caller = Caller(asterisk.sip_port)
            console.print(f"Bare program: {options.rate} calls/s for {options.seconds} s …")
            with _bare(folder, asterisk) as pid:
                bare = _measure(
                    caller,
                    {"bare": pid, "asterisk": asterisk.pid},
                    options,
                    asterisk.wait_until_empty,
                )
            console.print(f"Ringmaster: {options.rate} calls/s for {options.seconds} s …")
            with _product(folder, asterisk) as product:
                pids = {**product.pids, "asterisk": asterisk.pid}
                ours = _measure(caller, pids, options, product.settle)
                wrong = _wrong(product, _warm_up(options) + options.rate * options.seconds)
                _report(bare, ours)
                wrong += _parallel(caller, product, options.parallel)
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    failed = bare.failed, ours.failed
    console.print(f"Failed calls: {failed[0]} of the bare program, {failed[1]} of Ringmaster.")
    for sentence in wrong:
        console.print(f"[red]{sentence}[/red]")
    return 1 if wrong or any(failed) else 0


def _warm_up(options: argparse.Namespace) -> int:
    return int(min(options.rate, 20) * WARM_UP_S)


def _measure(
    caller: Caller,
    pids: Mapping[str, int],
    options: argparse.Namespace,
    settled: Callable[[], None],
) -> load.Run:
    warm = _warm_up(options)
    caller.call(load.AT_ONCE, talk_ms=500, count=warm, rate=min(options.rate, 20))
    settled()
    return load.run(caller, pids, rate=options.rate, seconds=options.seconds, settled=settled)


@contextmanager
def _bare(folder: Path, asterisk: Asterisk) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.lab.bare", asterisk.ari_url, "PJSIP/{number}@carrier-a"]
    program = Child("bare program", command, folder / "bare.log")
    try:
        wait_for(asterisk.has_app, timeout_s=20, failure=lambda: program.log_tail())
        yield program.pid
    finally:
        program.stop()


@contextmanager
def _product(folder: Path, asterisk: Asterisk) -> Iterator[Product]:
    server = services.Redis().start()
    try:
        with services.database_url() as database_url:
            product = Product(folder, asterisk, server, database_url)
            try:
                product.start()
                yield product
            finally:
                product.stack.stop()
    finally:
        server.stop()


def _wrong(product: Product, expected: int) -> list[str]:
    """What is not as it should be after so many answered calls."""
    wrong = []
    cdrs = product.cdrs()
    if cdrs != {"answered": expected}:
        wrong.append(f"{expected} calls were answered, but the CDRs are {cdrs}.")
    left = product.leftovers()
    if left:
        wrong.append(f"Left over: {', '.join(left[:20])}.")
    return wrong


def _report(bare: load.Run, ours: load.Run) -> None:
    table = Table(title=f"{ours.rate} calls/s, {len(ours.calls.seen)} calls of 2 s each")
    for heading in ("", "bare program", "Ringmaster"):
        table.add_column(heading, justify="right" if heading else "left")
    for percent in (50, 99):
        table.add_row(
            f"answer time p{percent}, ms",
            *(f"{run.calls.answer_percentile_ms(percent):.1f}" for run in (bare, ours)),
        )
    own = [name for name in ours.costs if name != "asterisk"]
    for name in own:
        table.add_row(f"CPU a call, {name}, ms", "", f"{ours.cpu_ms([name]):.2f}")
    total = bare.cpu_ms(["bare"]), ours.cpu_ms(own)
    table.add_row("CPU a call, together, ms", f"{total[0]:.2f}", f"{total[1]:.2f}")
    table.add_row("  times the bare program", "1.0", f"{total[1] / total[0]:.1f}")
    table.add_row(
        "CPU a call, Asterisk, ms", *(f"{run.cpu_ms(['asterisk']):.2f}" for run in (bare, ours))
    )
    for name in own:
        table.add_row(f"memory, {name}, MB", "", _memory(ours.costs[name]))
    table.add_row("memory, bare program, MB", _memory(bare.costs["bare"]), "")
    console.print(table)


def _memory(cost: load.Cost) -> str:
    return f"{cost.rss_before / 1e6:.1f} → {cost.rss_after / 1e6:.1f}"


def _answered(running: RunningCalls) -> int:
    return sum(call.final == 200 for call in running.seen())


def _parallel(caller: Caller, product: Product, count: int) -> list[str]:
    """So many calls up at the same time to numbers that answer with tt-monkeys."""
    console.print(f"{count} parallel calls to tt-monkeys …")
    before = product.cdrs().get("answered", 0)
    began = time.monotonic()
    numbers = [f"8801{index:04}" for index in range(count)]
    running = caller.start(numbers, talk_ms=count * 40 + 4000, rate=25)
    try:
        wait_for(
            lambda: _answered(running) == count,
            timeout_s=60,
            failure=lambda: f"{_answered(running)} of {count} calls were answered.",
        )
        at_once = product.live()
        calls = running.wait()
    finally:
        running.stop()
    product.settle()
    console.print(
        f"{calls.answered} of {count} answered, {at_once} live at once, "
        f"{product.cdrs().get('answered', 0) - before} CDRs, {time.monotonic() - began:.0f} s."
    )
    wrong = _wrong(product, before + count)
    if at_once != count:
        wrong.append(f"Only {at_once} of {count} calls were up at the same time.")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
