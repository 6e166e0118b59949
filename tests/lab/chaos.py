"""`make chaos`: calls go on while processes are killed, one after the other, without warning.

    python -m tests.lab.chaos [--seconds S] [--rate CALLS] [--seed N]

Every few seconds one of bridge, calls, records and Redis gets a SIGKILL and is started again, as a
supervisor would. Exits 1 when a call that was answered has not exactly one CDR, or when anything
is left over.
"""

import argparse
import random
import sys
import time
from collections import Counter

from rich.console import Console

from tests.lab import services
from tests.lab.asterisk import Asterisk
from tests.lab.bench.product import Product
from tests.lab.errors import LabError
from tests.lab.processes import temporary_folder
from tests.lab.sip import Caller, Calls, Carrier, RunningCalls

console = Console()
NUMBER = "49301200"
TALK_MS = 3_000
BETWEEN_KILLS_S = 4.0


def main() -> int:
    """Run the calls and the killing, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.chaos")
    parser.add_argument("--seconds", type=int, default=60, help="length of the load (default 60)")
    parser.add_argument("--rate", type=int, default=10, help="calls a second (default 10)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    console.print(f"Seed {options.seed}: give it with --seed to kill in the same order.")
    server = services.Redis().start()
    try:
        with (
            Asterisk() as asterisk,
            Carrier(asterisk.carrier_ports["carrier-a"]),
            services.database_url() as database_url,
        ):
            product = Product(temporary_folder("chaos"), asterisk, server, database_url)
            try:
                product.start()
                wrong = _run(product, server, asterisk, options)
            finally:
                product.stack.stop()
    except LabError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    finally:
        server.stop()
    for sentence in wrong:
        console.print(f"[red]{sentence}[/red]")
    return 1 if wrong else 0


def _run(
    product: Product, server: services.Redis, asterisk: Asterisk, options: argparse.Namespace
) -> list[str]:
    count = options.seconds * options.rate
    running = Caller(asterisk.sip_port).start(
        NUMBER, talk_ms=TALK_MS, count=count, rate=options.rate
    )
    _kill_while(running, product, server, asterisk, random.Random(options.seed))
    calls = running.wait()
    product.settle()
    return _wrong(product, calls)


def _kill_while(
    running: RunningCalls,
    product: Product,
    server: services.Redis,
    asterisk: Asterisk,
    chance: random.Random,
) -> None:
    while running.running:
        time.sleep(BETWEEN_KILLS_S)
        victim = chance.choice([*product.stack.names, "redis"])
        began = time.monotonic()
        if victim == "redis":
            server.kill()
            server.start()
        else:
            product.stack.kill(victim)
            product.stack.restart(victim)
            product.stack.wait_one_ready(victim, asterisk)
        console.print(f"Killed {victim}; back after {time.monotonic() - began:.1f} s.")


def _wrong(product: Product, calls: Calls) -> list[str]:
    """What is not as it should be when the dust has settled."""
    cdrs = product.cdrs()
    heard = Counter(calls.finals)
    console.print(f"The callers heard {dict(heard)}; the CDRs are {cdrs}.")
    wrong = []
    if cdrs.get("answered", 0) != calls.answered:
        wrong.append(
            f"{calls.answered} calls were answered, {cdrs.get('answered', 0)} CDRs say so."
        )
    if sum(cdrs.values()) > len(calls.seen):
        wrong.append(f"{sum(cdrs.values())} CDRs for {len(calls.seen)} calls: some are double.")
    left = product.leftovers()
    if left:
        wrong.append(f"Left over: {', '.join(left[:20])}.")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
