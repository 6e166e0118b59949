"""What stops is told by health, and what goes on again too: with the processes that users run."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from django.db import connections
from pytest_django import Settings

from ari_bridge import health
from ari_bridge.health import SWITCH
from calls.store.heartbeats import BEAT_S
from project import environment
from tests.integration.conftest import Ringmaster
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.black_hole import BlackHole
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.alone


@pytest.fixture(autouse=True)
def _nodes(ringmaster: Ringmaster, settings: Settings) -> None:
    settings.ARI_NODES = environment.ari_nodes(ringmaster.asterisk.ari_nodes)


def wrong(process: str = SWITCH) -> list[str]:
    return [check.sentence for check in health.look(process) if not check.well]


def wait_until(probe: Callable[[], bool]) -> None:
    wait_for(probe, timeout_s=20, failure=lambda: f"wrong: {wrong()}", poll_s=0.05)


def test_a_process_that_stops_is_silent_for_three_seconds_at_most_before_that_is_told() -> None:
    assert BEAT_S * 1000 + health.SILENT_MS <= 3_000


@pytest.mark.parametrize("process", ["bridge", "calls", "records"])
def test_a_process_that_is_stopped_and_goes_on(ringmaster: Ringmaster, process: str) -> None:
    wait_until(lambda: not wrong())
    ringmaster.stack.send(process, signal.SIGSTOP)
    stopped_s = time.monotonic()
    try:
        wait_until(lambda: any(f"`{process}`" in sentence for sentence in wrong(process)))
        print(f"{process}: told {time.monotonic() - stopped_s:.1f} s after it was stopped")
        assert wrong(process)
        assert wrong(SWITCH)
    finally:
        ringmaster.stack.send(process, signal.SIGCONT)
    wait_until(lambda: not wrong())


def test_a_process_that_is_killed_and_started_again(ringmaster: Ringmaster) -> None:
    wait_until(lambda: not wrong())
    ringmaster.stack.kill("records")
    wait_until(lambda: bool(wrong("records")))
    ringmaster.stack.restart("records")
    wait_until(lambda: not wrong())


def test_an_asterisk_that_hangs(ringmaster: Ringmaster, settings: Settings) -> None:
    wait_until(lambda: not wrong("bridge"))
    ((name, node),) = settings.ARI_NODES.items()
    with BlackHole(int(urlsplit(node.url).port or 0)) as way:
        there = f"{name}=http://{node.user}:{node.password}@127.0.0.1:{way.port}"
        settings.ARI_NODES = environment.ari_nodes(there)
        assert wrong("bridge") == []
        way.vanish()
        assert wrong("bridge") == [f"Asterisk {name} does not answer."]
        assert wrong("records") == []


def test_a_redis_that_hangs(ringmaster: Ringmaster, settings: Settings) -> None:
    wait_until(lambda: not wrong("calls"))
    with BlackHole(int(urlsplit(settings.REDIS_URL).port or 0)) as way:
        settings.REDIS_URL = f"redis://127.0.0.1:{way.port}/0"
        assert wrong("web") == []
        way.vanish()
        assert wrong("web") == ["Redis (REDIS_URL) does not answer."]
        assert "Redis (REDIS_URL) does not answer." in wrong("calls")


def test_a_database_that_hangs(ringmaster: Ringmaster, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: not wrong("records"))
    configured = connections.settings["default"]
    with BlackHole(int(configured["PORT"])) as way, monkeypatch.context() as patch:
        patch.setitem(configured, "PORT", str(way.port))
        assert wrong("web") == []
        way.vanish()
        assert wrong("web") == ["The database (DATABASE_URL) does not answer."]
        assert wrong("records") == ["The database (DATABASE_URL) does not answer."]
        assert wrong("calls") == []


def test_the_command_ends_with_what_it_found(ringmaster: Ringmaster) -> None:
    wait_until(lambda: not wrong())

    def asked() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "manage.py", "health", "--process", "calls"],
            cwd=REPOSITORY,
            env=ringmaster.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    well = asked()
    assert (well.returncode, "WRONG" in well.stdout) == (0, False), well.stdout + well.stderr
    ringmaster.stack.send("calls", signal.SIGSTOP)
    try:
        wait_until(lambda: bool(wrong("calls")))
        stopped = asked()
    finally:
        ringmaster.stack.send("calls", signal.SIGCONT)
    assert stopped.returncode == 1, stopped.stdout + stopped.stderr
    assert stopped.stdout.startswith("WRONG  The `calls` process on ")
    wait_until(lambda: not wrong())
