"""Many calls at the same time against few minutes: how far past them do they talk?

    python -m tests.lab.bench.minutes [--calls N] [--minutes M] [--kill]

Every caller talks until somebody ends the call. With --kill one of two workers for calls gets a
SIGKILL every few seconds, and is started again. Exits 1 when more was talked than the limit and one
slice.
"""

import argparse
import json
import sys
import time

from rich.console import Console

from calls.limits.slices import MOST_MS
from tests.lab import services
from tests.lab.asterisk import Asterisk
from tests.lab.bench.product import Product, manage
from tests.lab.errors import LabError
from tests.lab.processes import temporary_folder
from tests.lab.sip import Caller, Carrier, RunningCalls
from tests.lab.stack import Stack

console = Console()
NUMBER = "49301200"
BETWEEN_KILLS_S = 6.0
LIMIT = """
from calls.models import Account, Limit
Limit.objects.create(scope="account", account=Account.objects.get(code="demo"), metric="minutes",
                     value={minutes}, window="day")
"""
TALKED = """
import json
from cdr.models import Cdr
print(json.dumps([[cdr.disposition, cdr.talk_ms, cdr.ended_by] for cdr in Cdr.objects.all()]))
"""


def main() -> int:
    """Place the calls, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.bench.minutes")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    server = services.Redis().start()
    try:
        with (
            Asterisk() as asterisk,
            Carrier(asterisk.carrier_ports["carrier-a"]),
            services.database_url() as database_url,
        ):
            return _fire(options, server, asterisk, database_url)
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    finally:
        server.stop()


def _fire(
    options: argparse.Namespace, server: services.Redis, asterisk: Asterisk, database_url: str
) -> int:
    product = Product(temporary_folder("minutes"), asterisk, server, database_url)
    try:
        product.start()
        limit = LIMIT.format(minutes=options.minutes)
        manage(product.environment, "shell", "--no-imports", "--command", limit)
        with Stack(temporary_folder("second"), product.environment, only=["calls"]) as second:
            second.wait_ready()
            began = time.monotonic()
            running = Caller(asterisk.sip_port).start(
                NUMBER, talk_ms=None, count=options.calls, rate=50
            )
            kills = _kill_while(running, second) if options.kill else 0
            calls = running.wait(1800)
            product.settle()
        took_s = time.monotonic() - began
        found = json.loads(
            manage(product.environment, "shell", "--no-imports", "--command", TALKED)
        )
    finally:
        product.stack.stop()
    talked_s = sum(talk_ms for _, talk_ms, _ in found) / 1000
    over_s = talked_s - options.minutes * 60
    by_limit = sum(1 for _, _, ended_by in found if ended_by == "limit")
    console.print(
        f"{options.calls} calls at once against {options.minutes} minutes, {kills} kills of a "
        f"worker: {calls.answered} answered, {len(found)} CDRs, {by_limit} ended by the limit, "
        f"{talked_s:.1f} s talked by the CDRs, {over_s:+.1f} s past the limit, in {took_s:.0f} s."
    )
    left = product.leftovers()
    console.print(f"Left over: {left}")
    return 1 if over_s > MOST_MS / 1000 or len(found) != options.calls or left else 0


def _kill_while(running: RunningCalls, second: Stack) -> int:
    kills = 0
    while running.running:
        time.sleep(BETWEEN_KILLS_S)
        second.kill("calls")
        second.restart("calls")
        second.wait_one_ready("calls", None)
        kills += 1
    return kills


if __name__ == "__main__":
    sys.exit(main())
