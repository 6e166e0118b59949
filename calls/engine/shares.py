"""How many turns each node's calls may have in a worker, so that a hung node starves no other.

A turn with a node that does not answer takes seconds instead of milliseconds, and a few seconds of
its events would fill every place a worker has. So no node has more than half of them while there
are others, and one that has not answered for a while has a few: enough to notice when it is back,
and to end, one after the other, what Asterisk's own limits have ended there.

A call that has no place now loses nothing: its mailbox stays, and the sweeper comes again.
"""

import logging
import math
import threading
from collections import Counter

from calls import metrics

SILENT = 8
"""After so many commands in a row without an answer a node is held for hung."""
PROBES = 8
"""Turns that the calls of a hung node may have at a time."""

logger = logging.getLogger(__name__)


class Shares:
    """The places of one worker. Asked by the thread that takes tasks and by the event loop."""

    def __init__(self, places: int, nodes: int) -> None:
        """``nodes`` is how many nodes share the places. A node alone starves no other: its calls
        wait for a place in the broker, where another worker finds them."""
        self._share: float = max(1, places // 2) if nodes > 1 else math.inf
        self._probes = min(PROBES, self._share)
        self._alone = nodes < 2
        self._taken: Counter[str] = Counter()
        self._silent: Counter[str] = Counter()
        self._lock = threading.Lock()

    def enter(self, node: str) -> bool:
        """Take a place for a call of this node, if its share has one."""
        with self._lock:
            is_hung = self._silent[node] >= SILENT and not self._alone
            share = self._probes if is_hung else self._share
            if self._taken[node] >= share:
                return False
            self._taken[node] += 1
            return True

    def leave(self, node: str) -> None:
        """Give the place back."""
        with self._lock:
            self._taken[node] -= 1

    def note(self, node: str, answered: bool) -> None:
        """Note whether the node answered a command. For the event loop only."""
        if self._alone:
            return
        if answered:
            if self._silent[node] >= SILENT:
                metrics.node_answers(node, True)
                logger.warning("Node %s answers again.", node)
            self._silent[node] = 0
            return
        self._silent[node] += 1
        if self._silent[node] == SILENT:
            metrics.node_answers(node, False)
            logger.error(
                "Node %s has not answered %d commands in a row: its calls wait, but for %.0f at a "
                "time, until it does. Calls of other nodes go on.",
                node,
                SILENT,
                self._probes,
            )
