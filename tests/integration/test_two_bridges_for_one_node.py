"""One Asterisk whose calls are spread over two applications, each with a bridge, workers and a
Redis of its own: neither touches what is the other's, and limits hold for both together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from calls.models import Limit
from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab import services
from tests.lab.sip import Caller, Carrier, RunningCalls
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for

FIRST, SECOND = "ringmaster", "ringmaster2"
TALK_MS = 12_000
"""For longer than a bridge takes to start."""


@pytest.fixture
def second(ringmaster: Ringmaster, redis_url: str, tmp_path: Path) -> Iterator[Stack]:
    """A second cell on the same Asterisk, which is ``lab2`` there."""
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    folder = tmp_path / "second"
    folder.mkdir()
    server = services.Redis().start()
    settings = {
        "ARI_APP": SECOND,
        "ARI_NODES": f"lab2={ringmaster.asterisk.ari_url}",
        "REDIS_URL": server.url,
        "CELERY_BROKER_URL": server.url,
        "LIMITS_REDIS_URL": redis_url,
    }
    try:
        with Stack(folder, ringmaster.environment | settings) as stack:
            stack.wait_ready(ringmaster.asterisk)
            yield stack
            with redis.Redis.from_url(server.url) as client:
                assert client.zcard("ringmaster:attend") == 0
        for name in stack.names:
            assert "Traceback" not in stack.log(name), stack.log(name)[-4000:]
    finally:
        server.stop()


@contextmanager
def callers_go_to(ringmaster: Ringmaster, app: str) -> Iterator[None]:
    """As a dialplan spreads them; there it is one expression, such as ringmaster${RAND(1,2)}."""
    ringmaster.asterisk.cli(f"dialplan set global ARI_APP {app}")
    try:
        yield
    finally:
        ringmaster.asterisk.cli(f"dialplan set global ARI_APP {FIRST}")


def start(
    ringmaster: Ringmaster, caller: Caller, app: str, number: str, count: int
) -> RunningCalls:
    """Calls that are up, on that application."""
    with callers_go_to(ringmaster, app):
        calls = caller.start(number, talk_ms=TALK_MS, count=count)
        calls.wait_until_answered(count)
    return calls


def by_node(cdrs: list[Cdr]) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for cdr in cdrs:
        found.setdefault(cdr.node, []).append((cdr.disposition, cdr.integrity))
    return found


def test_a_limit_holds_for_the_calls_of_both(
    ringmaster: Ringmaster, second: Stack, caller: Caller, carrier: Carrier
) -> None:
    Limit.objects.create(metric="concurrent", value=3, scope="account", target="demo")
    here = start(ringmaster, caller, FIRST, "49200", 2)
    there = start(ringmaster, caller, SECOND, "49201", 1)

    with callers_go_to(ringmaster, SECOND):
        assert caller.call("49202").finals == [480]
    assert caller.call("49203").finals == [480]
    here.wait()
    there.wait()

    found = by_node(ringmaster.wait_for_cdrs(5))
    whole = "complete"
    assert sorted(found["lab"]) == [("answered", whole)] * 2 + [("limited", whole)]
    assert sorted(found["lab2"]) == [("answered", whole), ("limited", whole)]


def test_each_compares_with_what_is_its_own(
    ringmaster: Ringmaster, second: Stack, caller: Caller, carrier: Carrier
) -> None:
    """A bridge that connects compares what Asterisk holds with what it remembers, and ends what
    nobody knows: the other's calls are none of that."""
    here = start(ringmaster, caller, FIRST, "49200", 2)
    there = start(ringmaster, caller, SECOND, "49201", 2)
    for stack in (ringmaster.stack, second):
        stack.kill("bridge")
        stack.restart("bridge")
        stack.wait_one_ready("bridge", ringmaster.asterisk)
    with callers_go_to(ringmaster, SECOND):
        assert caller.call("49202").finals == [200]
    assert caller.call("49203").finals == [200]

    here.wait()
    there.wait()
    found = by_node(ringmaster.wait_for_cdrs(6))
    assert found == {node: [("answered", "complete")] * 3 for node in ("lab", "lab2")}


def test_while_one_is_away_the_other_has_its_calls_and_new_ones(
    ringmaster: Ringmaster, second: Stack, caller: Caller, carrier: Carrier
) -> None:
    here = start(ringmaster, caller, FIRST, "49200", 1)
    there = start(ringmaster, caller, SECOND, "49201", 1)
    second.kill("bridge")
    second.kill("calls")

    assert caller.call("49203").finals == [200]
    here.wait()
    assert by_node(ringmaster.wait_for_cdrs(2)) == {"lab": [("answered", "complete")] * 2}

    second.restart("calls")
    second.restart("bridge")
    second.wait_ready(ringmaster.asterisk)
    there.wait()
    wait_for(
        lambda: Cdr.objects.filter(node="lab2", disposition="answered").count() == 1,
        timeout_s=15,
        failure=lambda: f"CDRs: {by_node(list(Cdr.objects.all()))}",
    )
