"""`make bench`: two bare programs and Ringmaster, in turn, under the same calls on one Asterisk.

    python -m tests.lab.bench [--rates 20,50,80,100] [--seconds S] [--repeat N] [--parallel CALLS]
                              [--only ringmaster] [--write]

In turn (a b c a b c), so that what the machine does meanwhile falls on all. A contestant that fails
calls at a rate is not asked for a higher one. Then the test of many calls at a time: ``--parallel``
calls placed by baresip, with real audio, to numbers that answer with tt-monkeys.

Exits 1 when Ringmaster failed a call, a CDR is missing or double, or something was left over. Times
and CPU are reported, not judged: they depend on the machine. ``--write`` puts the results into
benchmarks/results.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from tests.lab.asterisk import Asterisk
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.baresip import Phone
from tests.lab.bench import contestants, load, report
from tests.lab.bench.contestants import BARE_HTTP, BARE_SOCKET, RINGMASTER, Contestant
from tests.lab.bench.product import Product
from tests.lab.errors import LabError
from tests.lab.processes import temporary_folder
from tests.lab.sip import Caller, Carrier
from tests.lab.stack import cpu_seconds
from tests.lab.waiting import wait_for

RESULTS = REPOSITORY / "benchmarks" / "results"
IDLE_S = 15.0
TALK_S = 20.0
"""How long the parallel calls all talk while their cost is measured."""
DIALS_A_SECOND = 25
COMPARED_S = 45.0
"""Until the bridge has compared once more what is remembered with what Asterisk holds."""
VOICE = "en_US_f_Allison/tt-monkeys"
"""What the callee says, among Asterisk's sounds."""

console = Console()
Maker = Callable[[], AbstractContextManager[Contestant]]


class Bench:
    """One run: what was measured, and what was wrong."""

    def __init__(self, options: argparse.Namespace, asterisk: Asterisk, folder: Path) -> None:
        self._options = options
        self._asterisk = asterisk
        self._caller = Caller(asterisk.sip_port)
        self._makers: dict[str, Maker] = {
            BARE_HTTP: lambda: contestants.bare(folder, asterisk, rest="http"),
            BARE_SOCKET: lambda: contestants.bare(folder, asterisk, rest="websocket"),
            RINGMASTER: lambda: contestants.ringmaster(folder, asterisk),
        }
        self._runs: dict[tuple[str, int], list[load.Run]] = defaultdict(list)
        self.wrong: list[str] = []
        self.facts: dict[str, Any] = {}

    def rates(self) -> None:
        """Every contestant at every rate, as often as asked for."""
        for turn in range(1, self._options.repeat + 1):
            for name, make in self._makers.items():
                if self._options.only in (None, name.partition(",")[0].lower()):
                    with make() as contestant:
                        self._one(contestant, turn)

    def _one(self, contestant: Contestant, turn: int) -> None:
        placed, failed = load.warm_up(self._caller, contestant), 0
        for rate in self._options.rates:
            seconds = self._options.seconds
            console.print(f"Turn {turn}, {contestant.name}: {rate} calls/s for {seconds} s …")
            run = load.run(self._caller, contestant, self._asterisk, rate=rate, seconds=seconds)
            self._runs[contestant.name, rate].append(run)
            placed += rate * seconds
            failed += run.failed
            if run.failed:
                console.print(f"{run.failed} calls failed.")
                break
        if contestant.product is not None:
            self.wrong += _wrong(contestant.product, placed, failed)
            if turn == self._options.repeat:
                idle = load.idle_percent(contestant, IDLE_S)
                self.facts["idle_percent_of_a_core"] = round(idle, 2)
                if self._options.parallel:
                    self.wrong += self._parallel(contestant, contestant.product)

    @property
    def rows(self) -> list[report.Row]:
        """The medians, by rate and then by contestant."""
        keys = sorted(self._runs, key=lambda key: (key[1], list(self._makers).index(key[0])))
        return [report.row_of(self._runs[key]) for key in keys]

    def _parallel(self, contestant: Contestant, product: Product) -> list[str]:
        """So many calls at a time by baresip, talked through; what is ours of the machine."""
        count = self._options.parallel
        console.print(f"{count} parallel calls by baresip to tt-monkeys …")
        before = sum(product.cdrs().values())
        # As a switch has its sounds: what 200 decoders of GSM would cost is nobody's call control.
        self._asterisk.cli(f"file convert {VOICE}.gsm {VOICE}.ulaw")
        began, cpu = time.monotonic(), self._cpu(contestant)
        with Phone(self._asterisk.sip_port) as phone:
            for index in range(count):
                phone.dial(f"8801{index:04}")
                time.sleep(max(0.0, began + (index + 1) / DIALS_A_SECOND - time.monotonic()))
            phone.wait_for(lambda: phone.established + phone.refused >= count)
            at_once = product.live()
            talking, talking_cpu = time.monotonic(), self._cpu(contestant)
            switching = cpu_seconds(self._asterisk.pid)
            time.sleep(TALK_S)
            talk_s = time.monotonic() - talking
            talked = (self._cpu(contestant) - talking_cpu) / talk_s
            switched = (cpu_seconds(self._asterisk.pid) - switching) / talk_s
            answered, refused = phone.established, phone.reasons
            phone.hang_up_all()
            product.settle()
        seconds = time.monotonic() - began
        share = (self._cpu(contestant) - cpu) / seconds / (os.cpu_count() or 1)
        written = sum(product.cdrs().values()) - before
        self.facts["parallel"] = {
            "calls": count,
            "answered": answered,
            "at_once": at_once,
            "cdrs": written,
            "seconds": round(seconds, 1),
            "our_percent_of_the_machine": round(100 * share, 2),
            "our_percent_while_they_talk": round(100 * talked / (os.cpu_count() or 1), 2),
            "asterisks_percent_while_they_talk": round(100 * switched / (os.cpu_count() or 1), 2),
        }
        if answered == at_once == written == count:
            return []
        return [
            f"Of {count} parallel calls {answered} were answered, {written} CDRs written. The "
            f"phone heard {refused}; the records say {product.unanswered()}."
        ]

    def _cpu(self, contestant: Contestant) -> float:
        return sum(cpu_seconds(pid) for pid in contestant.pids.values())


def _wrong(product: Product, placed: int, failed: int) -> list[str]:
    """What is not as it should be after so many calls, of which so many were not answered."""
    wrong = []
    if failed:
        # What Asterisk was asked for and did seconds later is taken away by a comparison.
        with contextlib.suppress(LabError):
            wait_for(
                lambda: not product.leftovers(), timeout_s=COMPARED_S, failure=lambda: "left over"
            )
    cdrs = product.cdrs()
    if cdrs.get("answered", 0) != placed - failed:
        wrong.append(f"{placed - failed} calls were answered, but the CDRs are {cdrs}.")
    left = product.leftovers()
    if left:
        wrong.append(f"Left over: {', '.join(left[:20])}.")
    return wrong


def main() -> int:
    """Run everything and give the exit code."""
    options = _options()
    try:
        with Asterisk() as asterisk, Carrier(asterisk.carrier_ports["carrier-a"]):
            bench = Bench(options, asterisk, temporary_folder("bench"))
            bench.rates()
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    rows = bench.rows
    bench.facts |= {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "seconds": options.seconds,
        "highest_rate": {name: report.highest_rate(rows, name) for name in bench._makers},
    }
    notes = [f"{name}: {value}" for name, value in bench.facts.items()]
    text = report.markdown(rows, notes)
    console.print(Markdown(text))
    if options.write:
        _write(rows, bench.facts, text)
    for sentence in bench.wrong:
        console.print(f"[red]{sentence}[/red]")
    return (
        1 if bench.wrong or any(row.failed for row in rows if row.contestant == RINGMASTER) else 0
    )


def _write(rows: list[report.Row], facts: dict[str, Any], text: str) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(report.as_json(rows, facts), indent=1) + "\n")
    (RESULTS / "latest.svg").write_text(report.svg(rows))
    (RESULTS / "latest.md").write_text(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench")
    parser.add_argument(
        "--rates",
        type=lambda text: [int(rate) for rate in text.split(",")],
        default=[20, 50, 80, 100],
        help="calls a second, rising (default 20,50,80,100)",
    )
    parser.add_argument("--seconds", type=int, default=30, help="length of each load (default 30)")
    parser.add_argument("--repeat", type=int, default=3, help="how often (default 3; medians)")
    parser.add_argument("--parallel", type=int, default=200, help="calls at once (0: none)")
    parser.add_argument("--only", choices=("bare", "ringmaster"), help="measure these alone")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
