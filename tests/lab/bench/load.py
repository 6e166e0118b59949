"""One load, and what it cost: SIPp on both ends, CPU and memory from /proc."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.lab.sip import Caller, Calls
from tests.lab.stack import cpu_seconds, rss_bytes

AT_ONCE = "49301182"
"""A number that the carrier answers at once, so that the answer time is ours and Asterisk's."""
TALK_MS = 2_000


@dataclass(frozen=True)
class Cost:
    """What one process (and its children) used for a load."""

    cpu_ms_per_call: float
    rss_before: int
    rss_after: int
    """Resident memory in bytes."""


@dataclass(frozen=True)
class Run:
    """A load and its cost, by the names of the processes."""

    calls: Calls
    rate: int
    seconds: float
    costs: Mapping[str, Cost]

    def cpu_ms(self, names: Iterable[str]) -> float:
        """CPU per call in ms of these processes together."""
        return sum(self.costs[name].cpu_ms_per_call for name in names)

    @property
    def failed(self) -> int:
        """Calls that were not answered, or that SIPp could not carry through."""
        return len(self.calls.seen) - self.calls.answered + self.calls.failed


def run(
    caller: Caller,
    pids: Mapping[str, int],
    *,
    rate: int,
    seconds: int,
    settled: Callable[[], None],
) -> Run:
    """Place ``rate`` calls a second for so many seconds, each talking for two.

    ``settled`` returns when the last call is wholly over, CDRs included: what is done after the
    calls is part of their cost.
    """
    cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
    rss = {name: rss_bytes(pid) for name, pid in pids.items()}
    count, began = rate * seconds, time.monotonic()
    calls = caller.call(AT_ONCE, talk_ms=TALK_MS, count=count, rate=rate, timeout_s=seconds + 60)
    settled()
    costs = {
        name: Cost((cpu_seconds(pid) - cpu[name]) * 1000 / count, rss[name], rss_bytes(pid))
        for name, pid in pids.items()
    }
    return Run(calls, rate, time.monotonic() - began, costs)
