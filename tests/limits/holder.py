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

django.setup()

from calls.limit_rules import Denial  # noqa: E402
from calls.limits import Limits  # noqa: E402
from calls.mailbox import connect  # noqa: E402
from tests.limits.calls import call, rule  # noqa: E402
from tests.limits.conftest import OpenBook  # noqa: E402

RULES = (
    rule("concurrent", 50),
    rule("cps", 20),
    rule("concurrent", 50, "carrier-a", "capacity"),
    rule("minutes", 1000, window="day"),
)


class Holder:
    """Places calls for as long as it lives."""

    def __init__(self, limits: Limits, name: str, hold_s: float, log: TextIO) -> None:
        self._limits = limits
        self._name = name
        self._hold_s = hold_s
        self._log = log
        self.live: set[str] = set()

    async def hold(self, number: int) -> None:
        session = call(f"{self._name}.{number}", *RULES)
        asked = time.time()
        answer = await self._limits.reserve(session, 1)
        self._write("refused" if isinstance(answer, Denial) else "in", session.call_id, asked)
        if isinstance(answer, Denial):
            self._write(str(answer.rule.metric), session.call_id, asked)
            return
        self.live.add(session.call_id)
        await asyncio.sleep(self._hold_s * random.uniform(0.8, 1.2))
        asked = time.time()
        self.live.discard(session.call_id)
        await self._limits.release(session.call_id, RULES, 1000)
        self._write("over", session.call_id, asked)

    async def live_calls(self) -> list[str]:
        return list(self.live)

    def _write(self, what: str, call_id: str, asked: float) -> None:
        line: dict[str, Any] = {"what": what, "call": call_id, "from": asked, "to": time.time()}
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()


async def main(
    url: str, name: str, calls: int, rate: float, hold_s: float, lease_ms: int, log: TextIO
) -> None:
    limits = Limits(connect(url), OpenBook(), lease_ms=lease_ms)
    holder = Holder(limits, name, hold_s, log)
    keeper = asyncio.create_task(limits.run(holder.live_calls))
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
