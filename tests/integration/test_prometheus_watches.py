"""A real Prometheus scrapes every process of a running switch, and its alerts fire and clear.

In the rules that it is given what must last lasts no time: tests/monitoring has shown the times.
"""

import re
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from calls.models import Limit
from tests.integration.conftest import Ringmaster
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child
from tests.lab.prometheus import Prometheus
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for
from tests.monitoring.files import ALERTS, queries

pytestmark = pytest.mark.alone

WAIT_S = 30


@pytest.fixture
def exporter(ringmaster: Ringmaster, tmp_path: Path) -> Iterator[str]:
    """``host:port`` of manage.py run_metrics, run beside the other processes."""
    address = f"{LOOPBACK}:{free_port()}"
    child = Child(
        "run_metrics",
        [sys.executable, "manage.py", "run_metrics", "--bind", address],
        tmp_path / "metrics.log",
        env={**ringmaster.environment, "PYTHONUNBUFFERED": "1"},
        cwd=REPOSITORY,
    )
    wait_for(
        lambda: not child.running or _answers(address),
        timeout_s=20,
        failure=lambda: f"run_metrics does not answer:\n{child.log_tail()}",
    )
    assert child.running, child.log_tail()
    yield address
    assert child.stop() in (0, -signal.SIGTERM)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture
def prometheus(exporter: str, tmp_path: Path) -> Iterator[Prometheus]:
    rules = tmp_path / "alerts.yml"
    rules.write_text(re.sub(r"^( +for: ).*$", r"\g<1>0s", ALERTS.read_text(), flags=re.M))
    try:
        started = Prometheus({"ringmaster": exporter}, rules)
    except LabError as error:
        cannot_be_had(error)
    with started:
        yield started


def test_every_query_of_the_dashboard_has_an_answer_and_an_alert_fires_and_clears(
    ringmaster: Ringmaster,
    caller: Caller,
    carrier: Carrier,
    carrier_b: Carrier,
    prometheus: Prometheus,
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a", "PJSIP/{number}@carrier-b")
    Limit.objects.create(scope="global", metric="cps", value=1, mode="observe")
    Limit.objects.create(scope="account", target="demo", metric="concurrent", value=4)
    # Workers let the counters of the trunks that are set up begin at 0 when they start.
    ringmaster.stack.restart("calls")
    ringmaster.stack.wait_one_ready("calls", ringmaster.asterisk)
    for number in ("49486", "49503", "49503", "49486"):
        caller.call(number)
    # A quantile is of what was counted between two scrapes, so calls go on meanwhile.
    running = caller.start("49200", talk_ms=1500, count=240, rate=4)
    unanswered = dict.fromkeys(queries())
    wait_for(
        lambda: not _drop_answered(prometheus, unanswered),
        timeout_s=2 * WAIT_S,
        failure=lambda: f"No answer to: {list(unanswered)}",
        poll_s=0.5,
    )
    running.stop()
    for kind in ringmaster.stack.names:
        assert prometheus.query(f'process_cpu_seconds_total{{process="{kind}"}}')
    with ringmaster.beside(["webhooks"], {}):
        wait_for(
            lambda: prometheus.query('process_cpu_seconds_total{process="webhooks"}'),
            timeout_s=WAIT_S,
            failure=lambda: "Prometheus hears nothing of the process that brings webhooks.",
            poll_s=0.5,
        )
    begun = "sum(ringmaster_calls_begun_total)"
    assert float(prometheus.query(begun)[0]["value"][1]) >= 12
    assert "RingmasterProcessMissing" not in prometheus.alerts()

    ringmaster.stack.kill("records", signal.SIGTERM)
    _wait_for_alert(prometheus, "RingmasterProcessMissing", fires=True)
    ringmaster.stack.restart("records")
    _wait_for_alert(prometheus, "RingmasterProcessMissing", fires=False)


def _drop_answered(
    prometheus: Prometheus, unanswered: dict[tuple[str, str], None]
) -> dict[tuple[str, str], None]:
    for query in list(unanswered):
        # No number is what a quantile of nothing is, and draws nothing.
        if any(each["value"][1] != "NaN" for each in prometheus.query(query[1])):
            del unanswered[query]
    return unanswered


def _wait_for_alert(prometheus: Prometheus, name: str, *, fires: bool) -> None:
    wait_for(
        lambda: (name in prometheus.alerts()) is fires,
        timeout_s=WAIT_S,
        failure=lambda: f"{name} does not {'fire' if fires else 'clear'}: {prometheus.alerts()}",
        poll_s=0.2,
    )
