"""What the ARI bridge counts (prometheus-client; docs/metrics.md is made of it)."""

from collections.abc import Iterable
from functools import cache

from prometheus_client import Counter

from cdr.metrics import counter, gauge, histogram

EVENTS = counter(
    "events",
    "Events that Asterisk sent, by what they say; ignored: nothing about a call of ours.",
    "node",
    "type",
)
EVENTS_WAITING = gauge("events_waiting", "Events that were heard and wait for Redis.")
ECHO_TIME = histogram(
    "echo_seconds",
    "From a user event posted to Asterisk until it came back on the WebSocket.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    "node",
)
CONNECTS = counter("node_connects", "WebSockets to Asterisk that were opened.", "node")
REDIS_LOSSES = counter(
    "redis_losses", "Times that Redis was found emptied, started again or replaced."
)
TURNED_AWAY = counter(
    "calls_turned_away",
    "Calls refused at the door: whose caller was refused too often. They are in no other counter.",
)
IGNORED = "ignored"


@cache
def _event(node: str, kind: str) -> Counter:
    return EVENTS.labels(node, kind)


def begin(nodes: Iterable[str]) -> None:
    """Let what can be known beforehand begin at 0."""
    for node in nodes:
        for kind in ("entered", IGNORED):
            _event(node, kind)
        CONNECTS.labels(node)
        ECHO_TIME.labels(node)


def heard(node: str, kind: str) -> None:
    """An event came."""
    _event(node, kind).inc()
