"""One load, and what it cost: SIPp on both ends, CPU and memory from /proc."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.lab.asterisk import Asterisk
from tests.lab.bench.contestants import Contestant
from tests.lab.bench.product import CPS_LIMITS
from tests.lab.sip import Caller, Calls
from tests.lab.stack import cpu_seconds, rss_bytes

AT_ONCE = "49301182"
"""A number that the carrier answers at once, so that the answer time is ours and Asterisk's."""
TALK_MS = 2_000
WARM_UP_S = 4
WARM_UP_RATE = 20
ASTERISK = "asterisk"


@dataclass(frozen=True)
class Cost:
    """What one process (and its children) used for a load."""

    cpu_ms_per_call: float
    rss_before: int
    rss_after: int
    """Resident memory in bytes."""


@dataclass(frozen=True)
class Run:
    """A load and its cost, by the names of the processes; Asterisk is one of them."""

    contestant: str
    calls: Calls
    rate: int
    costs: Mapping[str, Cost]
    redis_calls: Mapping[str, float]
    """Redis commands a call, by name; scripts count as evalsha. ``nudges`` are the lpush that no
    limit of calls a second has made."""

    @property
    def own(self) -> list[str]:
        """The contestant's own processes."""
        return [name for name in self.costs if name != ASTERISK]

    def cpu_ms(self, names: Iterable[str]) -> float:
        """CPU per call in ms of these processes together."""
        return sum(self.costs[name].cpu_ms_per_call for name in names)

    @property
    def failed(self) -> int:
        """Calls that were not answered, or that SIPp could not carry through."""
        return len(self.calls.seen) - self.calls.answered + self.calls.failed


def warm_up(caller: Caller, contestant: Contestant) -> int:
    """Calls before the first measurement, which find every connection open; gives how many."""
    count = WARM_UP_RATE * WARM_UP_S
    caller.call(AT_ONCE, talk_ms=500, count=count, rate=WARM_UP_RATE)
    contestant.settle()
    return count


def run(
    caller: Caller, contestant: Contestant, asterisk: Asterisk, *, rate: int, seconds: int
) -> Run:
    """Place ``rate`` calls a second for so many seconds, each talking for two.

    What is done after the calls, CDRs included, is part of their cost.
    """
    pids = {**contestant.pids, ASTERISK: asterisk.pid}
    cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
    rss = {name: rss_bytes(pid) for name, pid in pids.items()}
    commands = _redis_commands(contestant)
    count = rate * seconds
    calls = caller.call(AT_ONCE, talk_ms=TALK_MS, count=count, rate=rate, timeout_s=seconds + 90)
    contestant.settle()
    costs = {
        name: Cost((cpu_seconds(pid) - cpu[name]) * 1000 / count, rss[name], rss_bytes(pid))
        for name, pid in pids.items()
    }
    done = {
        name: (after - commands.get(name, 0)) / count
        for name, after in _redis_commands(contestant).items()
    }
    if done:
        done["nudges"] = done.get("lpush", 0.0) - CPS_LIMITS
    return Run(contestant.name, calls, rate, costs, done)


def idle_percent(contestant: Contestant, seconds: float) -> float:
    """CPU of all its processes while nobody calls, in percent of one core."""
    before = sum(cpu_seconds(pid) for pid in contestant.pids.values())
    time.sleep(seconds)
    after = sum(cpu_seconds(pid) for pid in contestant.pids.values())
    return (after - before) / seconds * 100


def _redis_commands(contestant: Contestant) -> dict[str, int]:
    if contestant.product is None:
        return {}
    stats = contestant.product.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): int(each["calls"]) for name, each in stats.items()}
