"""A whole Ringmaster under a real Prometheus, to be made ill in the way that an alert is for.

What an alert waits for is shorter here, so that a test need not wait for an hour: nothing has to
last, windows are seconds, and a minute's lag or a thousand waiting events are fewer. All else is
docs/monitoring/alerts.yml as users load it.
"""

import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.bench.product import manage
from tests.lab.chaos.field import Field, field
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child
from tests.lab.prometheus import Prometheus
from tests.lab.services import Redis
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for
from tests.monitoring.files import ALERTS
from tests.webhooks.receiver import Receiver

PATIENCE_S = 90
"""Far above what anything here takes: it ends a test that would hang, and is no measure."""
SCRAPED_EVERY_S = 3
"""The exporter waits a second for each server that hangs."""
SHORTER = (
    (r"^( +for: ).*$", r"\g<1>0s"),
    (r"\[1m\]", "[12s]"),
    (r"\[5m\]", "[15s]"),
    (r"\[10m\]", "[15s]"),
    (r"\[15m\]", "[30s]"),
    (r"\[1h\]", "[30s]"),
    (r"\[1d\]", "[10m]"),
    (r"_seconds\) > 60\b", "_seconds) > 3"),
    (r"_seconds\) > 3600$", "_seconds) > 3"),
    (r"events_waiting\) > 1000$", "events_waiting) > 20"),
)
"""What is written otherwise in the rules that Prometheus is given. Processes hand over what they
count every five seconds, so that no window is shorter than two of them."""


def shorter(rules: str) -> str:
    """The rules, waiting for seconds."""
    for pattern, text in SHORTER:
        rules, times = re.subn(pattern, text, rules, flags=re.M)
        assert times, f"No rule has {pattern}."
    return rules


class Watched:
    """Made by `watched`. ``limits`` is the Redis of the limits."""

    def __init__(
        self, made: Field, limits: Redis, webhooks: Stack, exporter: "Exporter", receiver: Receiver
    ) -> None:
        self.field = made
        self.limits = limits
        self.webhooks = webhooks
        self.exporter = exporter
        self.receiver = receiver
        self.prometheus: Prometheus

    def call(self, number: str | Sequence[str] = "49200", count: int = 1) -> None:
        """So many calls, from begin to end."""
        self.field.caller.call(number, count=count, rate=10)

    def manage(self, code: str) -> str:
        """Run this code in the product's shell, and give what it prints."""
        return manage(self.field.environment, "shell", "--no-imports", "--command", code).strip()

    def wait_for_alert(self, name: str, *, fires: bool, meanwhile: Callable[[], None]) -> None:
        """Wait until it fires, or does not; ``meanwhile`` is done again and again until then."""

        def seen() -> bool:
            meanwhile()
            return (name in self.prometheus.alerts()) is fires

        wait_for(
            seen,
            timeout_s=PATIENCE_S,
            failure=lambda: (
                f"{name} does not {'fire' if fires else 'clear'}; there fire: "
                f"{sorted(self.prometheus.alerts())}"
            ),
            poll_s=0.2,
        )

    def wait_until_told(self, expression: str) -> None:
        """Wait until Prometheus has an answer to this."""
        wait_for(
            lambda: bool(self.prometheus.query(expression)),
            timeout_s=PATIENCE_S,
            failure=lambda: f"Prometheus has no answer to {expression}.",
            poll_s=0.2,
        )


class Exporter:
    """manage.py run_metrics."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.address = f"{LOOPBACK}:{free_port()}"
        self._environment = environment
        self._log = folder / "metrics.log"
        self._child: Child | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        child = Child(
            "run_metrics",
            [sys.executable, "manage.py", "run_metrics", "--bind", self.address],
            self._log,
            env=self._environment,
            cwd=REPOSITORY,
        )
        self._child = child
        wait_for(
            lambda: not child.running or answers(self.address),
            timeout_s=PATIENCE_S,
            failure=lambda: f"run_metrics does not answer:\n{child.log_tail()}",
        )
        assert child.running, child.log_tail()

    def stop(self) -> None:
        """End it in good order."""
        if self._child is not None:
            assert self._child.stop() in (0, -signal.SIGTERM)
            self._child = None


def answers(address: str) -> bool:
    """Whether Prometheus would be answered there (``host:port``)."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5):
            return True
    except OSError:
        return False


@contextmanager
def watched(folder: Path, environment: dict[str, str]) -> Iterator[Watched]:
    """All of it, up and well; ``environment`` is that of this process. Raises LabError."""
    with ExitStack() as things:
        limits = Redis()
        things.callback(limits.stop)
        limits.start()
        made = things.enter_context(field(limits_url=limits.url))
        receiver = things.enter_context(Receiver())
        settings = {
            **made.environment,
            "WEBHOOK_ALLOW_HTTP": "true",
            "WEBHOOK_ALLOW_PRIVATE": LOOPBACK,
        }
        webhooks = things.enter_context(Stack(folder, settings, only=["webhooks"]))
        webhooks.wait_ready()
        exporter = Exporter({**environment, **made.environment}, folder)
        exporter.start()
        things.callback(exporter.stop)
        rules = folder / "alerts.yml"
        rules.write_text(shorter(ALERTS.read_text()))
        it = Watched(made, limits, webhooks, exporter, receiver)
        it.prometheus = things.enter_context(
            Prometheus({"ringmaster": exporter.address}, rules, scraped_every_s=SCRAPED_EVERY_S)
        )
        yield it
