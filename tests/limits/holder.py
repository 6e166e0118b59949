"""A process that holds calls: it asks for places, keeps them a while, and gives them back.

python -m tests.limits.holder REDIS_URL NAME CALLS RATE HOLD_S LEASE_MS LOG

It writes a JSON line for each call that is refused, let in, or over. Times are those before and
after the question, in seconds since the epoch, so what happened lies between them.
"""

import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import django
from msgspec.structs import replace

django.setup()

from calls.limits.rules import Denial  # noqa: E402
from calls.machine.session import Leg, Phase  # noqa: E402
from calls.store.counters import Limits  # noqa: E402
from calls.store.mailbox import connect  # noqa: E402
from tests.limits.calls import Up, call, rule  # noqa: E402
from tests.limits.conftest import OpenBook  # noqa: E402

RULES = (
    rule("concurrent", 50),
    rule("cps", 20),
    rule("concurrent", 50, "carrier-a", "capacity"),
    rule("minutes", 1000, window="day"),
)


class Holder:
    """Places calls for as long as it lives."""

    def __init__(self, limits: Limits, up: Up, name: str, hold_s: float, log: TextIO) -> None:
        self._limits = limits
        self._name = name
        self._hold_s = hold_s
        self._log = log
        self._up = up

    async def hold(self, number: int) -> None:
        session = call(f"{self._name}.{number}", *RULES)
        asked = time.time()
        answer = await self._limits.reserve(session, 1)
        self._write("refused" if isinstance(answer, Denial) else "in", session.call_id, asked)
        if isinstance(answer, Denial):
            metric = next(rule.metric for rule in RULES if rule.name == answer.limit)
            self._write(str(metric), session.call_id, asked)
            return
        leg = Leg(1, "b1", "carrier-a", "49", "33", 30, 1)
        self._up.calls[session.call_id] = replace(session, phase=Phase.TALKING, legs=(leg,))
        await asyncio.sleep(self._hold_s * random.uniform(0.8, 1.2))
        asked = time.time()
        del self._up.calls[session.call_id]
        await self._limits.release(session.call_id, RULES, 1000)
        self._write("over", session.call_id, asked)

    def _write(self, what: str, call_id: str, asked: float) -> None:
        line: dict[str, Any] = {"what": what, "call": call_id, "from": asked, "to": time.time()}
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()


async def main(
    url: str, name: str, calls: int, rate: float, hold_s: float, lease_ms: int, log: TextIO
) -> None:
    # Each process is a cell of its own: it alone knows its calls.
    up = Up(name=name)
    limits = Limits(connect(url), OpenBook(), up, lease_ms)
    holder = Holder(limits, up, name, hold_s, log)
    keeper = asyncio.create_task(limits.run())
    held = []
    for number in range(calls):
        held.append(asyncio.create_task(holder.hold(number)))
        await asyncio.sleep(random.expovariate(rate))
    await asyncio.gather(*held)
    keeper.cancel()
    with suppress(asyncio.CancelledError):
        await keeper
    await limits.close()


if __name__ == "__main__":
    url, name, calls, rate, hold_s, lease_ms, path = sys.argv[1:]
    with Path(path).open("w") as file:
        asyncio.run(main(url, name, int(calls), float(rate), float(hold_s), int(lease_ms), file))
