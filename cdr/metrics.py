"""What the writers of records count (prometheus-client; docs/metrics.md is made of it).

Counters live in the memory of the process that counts, and only ever grow there: a Redis that was
emptied, or went back by a second, changes none of them. calls/store/handover.py hands them over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# A time of creation for each series would double them, and nobody reads it.
disable_created_metrics()  # type: ignore[no-untyped-call]

NAMESPACE = "ringmaster"


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric of ours: its whole name as Prometheus shows it, and what it means."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


DECLARED: list[Declared] = []
"""All that this process has declared, in order."""


def counter(name: str, text: str, *labels: str) -> Counter:
    """A counter; ``_total`` is added to its name."""
    DECLARED.append(Declared(f"{NAMESPACE}_{name}_total", "counter", text, labels))
    return Counter(name, text, labels, namespace=NAMESPACE)


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """A value that goes up and down."""
    DECLARED.append(Declared(f"{NAMESPACE}_{name}", "gauge", text, labels))
    return Gauge(name, text, labels, namespace=NAMESPACE)


def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
    """A distribution, by upper bounds of its buckets."""
    DECLARED.append(Declared(f"{NAMESPACE}_{name}", "histogram", text, labels, tuple(buckets)))
    return Histogram(name, text, labels, namespace=NAMESPACE, buckets=buckets)


CDRS_WRITTEN = counter("cdrs_written", "Call records that the database has committed.")
CDRS_REJECTED = counter(
    "cdrs_rejected",
    "Call records that could not be written and were set aside: unreadable or refused (bad), or a "
    "second one of a call that says otherwise than the first (double).",
    "kind",
)
CDRS_RETOLD = counter(
    "cdrs_retold",
    "Second records of calls that were heard whole and ended again, as Redis went back in time; "
    "dropped.",
)
CDR_DELAY = histogram(
    "cdr_delay_seconds",
    "From the end of a call to its committed record.",
    (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)
CALLS_NOTED = counter(
    "calls_noted",
    "Beginnings of calls that the ledger has taken in. Behind calls_begun while the database is "
    "away.",
)
TRACES_WRITTEN = counter("traces_written", "Journals of calls that the database has committed.")
for _kind in ("bad", "double"):
    CDRS_REJECTED.labels(_kind)
