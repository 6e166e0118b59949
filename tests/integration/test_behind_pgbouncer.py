"""PgBouncer hands each transaction another connection to PostgreSQL: calls, records and exports go
through it all the same, and what needs a connection of its own says so."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Ringmaster, _test_database_url
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.pooler import PgBouncer
from tests.lab.sip import Caller, Carrier

ANSWERED, BLOCKED = 20, 3
BEHIND = ("calls", "records")


@pytest.fixture
def pooled(ringmaster: Ringmaster) -> Iterator[dict[str, str]]:
    """The environment of Ringmaster behind a PgBouncer, and its processes started in it."""
    with PgBouncer(_test_database_url()) as pooler:
        environment = {"DATABASE_URL": pooler.url, "DATABASE_POOLED": "true"}
        with ringmaster.stack.overlaid(environment):
            for name in BEHIND:
                ringmaster.stack.restart(name)
            ringmaster.stack.wait_ready(ringmaster.asterisk)
            yield environment
        for name in BEHIND:
            ringmaster.stack.restart(name)
        ringmaster.stack.wait_ready(ringmaster.asterisk)


def manage(environment: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "manage.py"), *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_calls_are_routed_counted_and_written_through_it(
    ringmaster: Ringmaster, pooled: dict[str, str], caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    ringmaster.route("44", "PJSIP/{number}@carrier-a", action="block")

    called = [f"4930{n:05}200" for n in range(ANSWERED)] + [
        f"4420{n:05}200" for n in range(BLOCKED)
    ]
    calls = caller.call(called, count=len(called), rate=20, talk_ms=300)

    assert sorted(calls.finals) == [200] * ANSWERED + [403] * BLOCKED
    cdrs = ringmaster.wait_for_cdrs(len(called))
    written = sorted(cdr.disposition for cdr in cdrs)
    assert written == ["answered"] * ANSWERED + ["blocked"] * BLOCKED

    exported = manage(pooled, "export_cdrs")
    assert exported.returncode == 0, exported.stderr
    assert len(exported.stdout.splitlines()) == 1 + len(called)

    migrated = manage(pooled, "migrate")
    assert migrated.returncode == 1
    assert "DATABASE_POOLED" in migrated.stderr
    assert "Traceback" not in migrated.stderr
