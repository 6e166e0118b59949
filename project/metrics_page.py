"""Writes docs/metrics.md: ``python -m project.metrics_page > docs/metrics.md``."""

import os
import sys
from collections.abc import Iterable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from cdr.metrics import Declared

INTRODUCTION = """# Metrics

For Prometheus, at `http://127.0.0.1:8001/metrics` of `manage.py run_metrics` (`METRICS_BIND`), one
process for each switch, and at `/metrics` of the web process: for this machine, for staff, and for
those who send `METRICS_TOKEN` as their bearer token.

    scrape_configs:
      - job_name: ringmaster
        static_configs:
          - targets: ["127.0.0.1:8001"]

and from another machine, by the web process (the name is among `ALLOWED_HOSTS`, and the file holds
`METRICS_TOKEN`):

      - job_name: ringmaster
        scheme: https
        authorization: {credentials_file: /etc/prometheus/ringmaster-token}
        static_configs:
          - targets: ["ringmaster.example"]

What a process counts has the labels `process` (`bridge`, `calls`, `records`, `webhooks`) and
`process_id` (its host and process id) beside those below, and is at most five seconds old. Take
rates first, then sums: `sum by (disposition) (rate(ringmaster_calls_ended_total[5m]))`. A process
that is started again begins at 0, and `rate()` knows. What a process costs stands in
`process_cpu_seconds_total`, `process_resident_memory_bytes` and the others that prometheus-client
adds.

Of accounts and trunks the 50 busiest of the last seven days have series of their own, and others
while there is room; the rest is `other`, and `none` is a call of no account. What a worker decided
and could not save before it died is decided, and counted, again: exact numbers are the ledger's.

This page is written by `python -m project.metrics_page`.
"""


def page() -> str:
    """The page, from what is declared."""
    import django

    django.setup()
    # For what they declare.
    import ari_bridge.metrics  # noqa: F401
    import calls.metrics  # noqa: F401
    from calls.store.exporter import GAUGES
    from cdr.metrics import DECLARED

    parts = (
        INTRODUCTION,
        "\n## How the switch does\n\nRead when Prometheus asks, from Redis and the database.\n\n",
        _table(GAUGES.values()),
        "\n## What the processes count\n\n",
        _table(DECLARED),
    )
    return "".join(parts)


def _table(declared: Iterable[Declared]) -> str:
    lines = ["| name | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for each in sorted(declared, key=lambda one: one.name):
        labels = ", ".join(f"`{label}`" for label in each.labels)
        meaning = each.text
        if each.buckets:
            meaning += f" Buckets: {', '.join(f'{bound:g}' for bound in each.buckets)} s."
        lines.append(f"| `{each.name}` | {each.kind} | {labels} | {meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
