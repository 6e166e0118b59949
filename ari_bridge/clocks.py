"""The nodes' clocks, measured, so that a call is timed by one clock: its own node's.

Asterisk stamps its events by its clock, and a worker elsewhere has another. What is counted between
the two (when a hard limit is reached, how long was talked) would be off by their difference. So a
worker asks each node for its time now and then (``GET /asterisk/ping``), and tells the time of a
call by the node's clock: its own steady clock plus what was measured. A step of the worker's wall
clock changes nothing.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

import orjson

from ari_bridge.client import AriClient, Unreachable
from ari_bridge.decoding import at_ms
from calls import metrics
from calls.clock import steady_s, wall_clock_ms

EVERY_S = 10.0
"""Between two measurements of a node. Clocks drift by some 10 ms an hour, and step when they are
set."""
PATIENCE_S = 1.0
"""How long one measurement may take."""
GOOD_S = 0.05
"""The answer lies half the round trip away at most: a longer one than this is not believed, unless
nothing better came for `OLD_S`."""
OLD_S = 60.0
WORTH_SAYING_MS = 1_000

logger = logging.getLogger(__name__)


class NodeClocks:
    """What time it is on each node."""

    def __init__(
        self,
        steady_s: Callable[[], float] = steady_s,
        wall_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._steady_s = steady_s
        self._wall_ms = wall_ms
        self._ahead_ms: dict[str, float] = {}
        """By how much each node's clock is ahead of our steady one."""
        self._measured_s: dict[str, float] = {}
        self._said_ms: dict[str, float] = {}

    def now_ms(self, node: str) -> int:
        """The time by the node's clock, in ms since the epoch; by ours while it is not known."""
        ahead_ms = self._ahead_ms.get(node)
        return self._wall_ms() if ahead_ms is None else int(self._steady_s() * 1000 + ahead_ms)

    async def run(self, clients: Callable[[], Iterable[AriClient]]) -> None:
        """Measure for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.measure(clients())
            except Exception:
                # A fault of ours must not end all measurements to come in silence.
                logger.exception("The clocks of the nodes could not be measured.")

    async def measure(self, clients: Iterable[AriClient]) -> None:
        """Measure each node once. One that does not answer stays as it was measured last."""
        await asyncio.gather(*(self._measure(client) for client in clients))

    async def _measure(self, client: AriClient) -> None:
        node = client.node.name
        asked_s = self._steady_s()
        try:
            answer = await client.request("GET", "/asterisk/ping", until_s=asked_s + PATIENCE_S)
            told_ms = at_ms(orjson.loads(answer.body))
        except (Unreachable, ValueError, KeyError, TypeError):
            # Whoever needs the node says that it is away.
            return
        heard_s = self._steady_s()
        measured_s = self._measured_s.get(node)
        if heard_s - asked_s > GOOD_S and measured_s is not None and heard_s - measured_s < OLD_S:
            return
        self._measured_s[node] = heard_s
        self._ahead_ms[node] = told_ms - (asked_s + heard_s) / 2 * 1000
        off_ms = self.now_ms(node) - self._wall_ms()
        metrics.CLOCK_OFFSET.labels(node).set(off_ms / 1000)
        self._say(node, off_ms)

    def _say(self, node: str, off_ms: float) -> None:
        """Log how far the node's clock is from ours, when that is news."""
        if abs(off_ms - self._said_ms.get(node, 0)) < WORTH_SAYING_MS:
            return
        self._said_ms[node] = off_ms
        if abs(off_ms) < WORTH_SAYING_MS:
            logger.warning("The clock of node %s agrees with this machine's again.", node)
            return
        logger.warning(
            "The clock of node %s is %.1f s %s this machine's. Its calls are timed by its own "
            "clock, so nothing is wrong with them; set both by NTP so that records of different "
            "nodes compare.",
            node,
            abs(off_ms) / 1000,
            "ahead of" if off_ms > 0 else "behind",
        )
