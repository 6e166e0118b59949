"""What is kept of calls, on real ones: memory and bytes, and whether it leads to the same again.

    python -m tests.lab.bench.traces [--calls 1000] [--up 200]

With the journal and without it, in turn: so many calls are up at once, and what Redis holds of them
is divided by them. With it, so many more end in six ways; `replay_traces` decides them all again,
once by the code as it is and once with one rule changed (a carrier's 486 is no more a busy callee),
and must find none, and exactly the busy ones. Exits 1 where it does not.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from tests.lab.asterisk import Asterisk
from tests.lab.bench import contestants, load
from tests.lab.bench.contestants import Contestant
from tests.lab.bench.journal import SETTINGS, WITH, WITHOUT
from tests.lab.bench.product import Product, manage
from tests.lab.errors import LabError
from tests.lab.processes import temporary_folder
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for

BUSY = "49301486"
NUMBERS = ("49301200", load.AT_ONCE, BUSY, "49301404", "49301503", "49301603")
"""Answered after ringing and at once, busy, unallocated, congested and declined."""
RATE = 40
TALK_MS = 40_000
"""Until all of them are up, and are looked at."""
ALWAYS_UP = """
from calls.models import Trunk
for trunk in Trunk.objects.all():
    trunk.health_override = "up"
    trunk.save()
"""
CHANGED = """
from types import MappingProxyType
from django.core.management import call_command
from calls import causes
changed = dict(causes.BY_SIP) | {486: causes.BY_SIP[404]}
causes.BY_SIP = MappingProxyType(changed)
try:
    call_command("replay_traces")
except SystemExit:
    pass
"""
SIZES = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute(
        "SELECT count(*), avg(length(journal)), pg_total_relation_size('cdr_calltrace'),"
        " avg(pg_column_size(cdr_calltrace.*)) FROM cdr_calltrace"
    )
    print(*cursor.fetchone())
"""
OTHERWISE = re.compile(r"([0-9,]+) calls looked at.*?, ([0-9,]+) would be treated otherwise")


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=1_000)
    parser.add_argument("--up", type=int, default=200)
    options = parser.parse_args()
    wrong: list[str] = []
    folder = temporary_folder("traces")
    with Asterisk() as asterisk, Carrier(asterisk.carrier_ports["carrier-a"]):
        caller = Caller(asterisk.sip_port)
        for name in (WITH, WITHOUT):
            path = Path(folder, name.split()[0])
            path.mkdir()
            with contestants.ringmaster(path, asterisk, SETTINGS[name]) as contestant:
                load.warm_up(caller, contestant)
                _say_memory(name, caller, contestant, options.up)
                if name == WITH:
                    wrong += _replay(caller, contestant, options.calls)
    print("\n".join(wrong) or "No trace would be treated otherwise but those of the changed rule.")
    return 1 if wrong else 0


def _say_memory(name: str, caller: Caller, contestant: Contestant, up: int) -> None:
    product = _product(contestant)
    before = _memory(product)
    calls = caller.start(load.AT_ONCE, talk_ms=TALK_MS, count=up, rate=RATE)
    calls.wait_until_answered(up, timeout_s=60)
    # Its last save comes after the caller has heard the answer; until then a worker has the call.
    wait_for(lambda: not _held(product), timeout_s=20, failure=lambda: "Workers hold calls.")
    used = (_memory(product) - before) / up
    calls.wait()
    contestant.settle()
    print(f"{name}: {used:,.0f} bytes of Redis' memory for each of {up} calls that are up")


def _replay(caller: Caller, contestant: Contestant, count: int) -> list[str]:
    product = _product(contestant)
    # So many refusals would let nobody through to the carrier after some seconds.
    manage_shell(product, ALWAYS_UP)
    done = caller.call(NUMBERS, talk_ms=500, count=count, rate=RATE, timeout_s=count / RATE + 90)
    contestant.settle()
    traces, average, table, row = manage_shell(product, SIZES).split()
    print(f"{traces} traces: a journal of {float(average):,.0f} bytes on average, a row of")
    print(f"  {float(row):,.0f}, with indexes {float(table) / float(traces):,.0f} bytes of disk")
    same, changed = manage(product.environment, "replay_traces"), manage_shell(product, CHANGED)
    busy = done.finals.count(486)
    wrong = []
    for said, expected in ((same, 0), (changed, busy)):
        print(f"  {said.strip().splitlines()[-1]}")
        found = OTHERWISE.search(said)
        if found is None or found[1].replace(",", "") != traces:
            wrong.append(f"Not all traces were looked at: {said[-200:]}")
        elif int(found[2].replace(",", "")) != expected:
            wrong.append(f"{found[2]} traces would be treated otherwise, not {expected}.")
    print(f"  {busy} of the calls were busy")
    return wrong


def manage_shell(product: Product, code: str) -> str:
    """What a piece of Python prints in the product's own setting."""
    return manage(product.environment, "shell", "--no-imports", "--command", code)


def _product(contestant: Contestant) -> Product:
    if contestant.product is None:
        raise LabError("Only Ringmaster keeps anything of a call.")
    return contestant.product


def _memory(product: Product) -> int:
    return int(product.redis.info("memory")["used_memory"])


def _held(product: Product) -> int:
    """How many live calls a worker has in hand, or are to be looked at soon."""
    calls: Any = product.redis.zrange("ringmaster:attend", 0, -1)
    with product.redis.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.hexists(b"ringmaster:call:" + call, "token")
        held: list[bool] = pipeline.execute()
    return sum(held)


if __name__ == "__main__":
    sys.exit(main())
