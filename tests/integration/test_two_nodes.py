"""Two Asterisks with a listener each and the same workers: limits hold for both together, and when
one of them dies the other's calls know nothing of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from calls.models import Limit
from tests.integration.conftest import Ringmaster, _environment
from tests.lab.asterisk import Asterisk
from tests.lab.sip import Caller, Carrier
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for

OF_DEMO = "ringmaster:limit:concurrent:account:demo"


@pytest.fixture(scope="module")
def other() -> Iterator[Asterisk]:
    """A second Asterisk, the node ``other``."""
    with Asterisk(node="other") as asterisk:
        yield asterisk


@pytest.fixture
def other_caller(other: Asterisk) -> Caller:
    return Caller(other.sip_port)


@pytest.fixture
def other_carrier(other: Asterisk) -> Iterator[Carrier]:
    with Carrier(other.carrier_ports["carrier-a"]) as running:
        yield running


@pytest.fixture
def both(ringmaster: Ringmaster, other: Asterisk, tmp_path: Path) -> Iterator[Ringmaster]:
    """Ringmaster whose workers know both nodes; each node has a listener that knows it alone."""
    folder = tmp_path / "other"
    folder.mkdir()
    nodes = f"{ringmaster.asterisk.ari_nodes},{other.ari_nodes}"
    with (
        ringmaster.stack.overlaid({"ARI_NODES": nodes}),
        Stack(folder, _environment(other), only=["bridge"]) as listener,
    ):
        ringmaster.stack.restart("calls")
        ringmaster.stack.wait_ready(ringmaster.asterisk)
        listener.wait_ready(other)
        ringmaster.account()
        ringmaster.route("49", "PJSIP/{number}@carrier-a")
        yield ringmaster
    ringmaster.stack.restart("calls")


def wait_until_up(ringmaster: Ringmaster, count: int) -> None:
    wait_for(
        lambda: ringmaster.redis.zcard(OF_DEMO) == count,
        timeout_s=15,
        failure=lambda: f"{ringmaster.redis.zcard(OF_DEMO)} calls are counted, not {count}",
    )


def test_a_limit_holds_for_the_calls_of_both(
    both: Ringmaster,
    caller: Caller,
    other_caller: Caller,
    carrier: Carrier,
    other_carrier: Carrier,
) -> None:
    Limit.objects.create(metric="concurrent", value=3, scope="account", target="demo")
    here = caller.start("49200", talk_ms=4000, count=2)
    there = other_caller.start("49200", talk_ms=8000)
    here.wait_until_answered(2)
    there.wait_until_answered(1)

    assert other_caller.call("49201").finals == [480]
    assert caller.call("49202").finals == [480]
    assert here.wait().answered == 2
    wait_until_up(both, 1)
    assert other_caller.call("49203").finals == [200]

    assert there.wait().answered == 1
    found = [(cdr.node, cdr.disposition) for cdr in both.wait_for_cdrs(6)]
    assert sorted(found) == [
        ("lab", "answered"),
        ("lab", "answered"),
        ("lab", "limited"),
        ("other", "answered"),
        ("other", "answered"),
        ("other", "limited"),
    ]
    both.assert_nothing_left()


def test_when_one_dies_the_calls_of_the_other_go_on_and_its_own_have_their_records(
    both: Ringmaster,
    caller: Caller,
    other: Asterisk,
    other_caller: Caller,
    carrier: Carrier,
    other_carrier: Carrier,
) -> None:
    Limit.objects.create(metric="concurrent", value=9, scope="account", target="demo")
    here = caller.start("49200", talk_ms=10_000, count=3)
    there = other_caller.start("49200", talk_ms=None, count=2)
    here.wait_until_answered(3)
    there.wait_until_answered(2)

    other.kill()
    assert caller.call("49201").finals == [200]
    other.start()
    there.abandon()

    # What it talked is known to the moment at which somebody could look again.
    wait_until_up(both, 3)
    assert other_caller.call("49202").finals == [200]
    assert here.wait().answered == 3

    cdrs = both.wait_for_cdrs(7)
    assert {cdr.disposition for cdr in cdrs} == {"answered"}
    lost = [cdr for cdr in cdrs if cdr.node == "other" and cdr.callee_received == "49200"]
    assert [cdr.integrity for cdr in lost] == ["recovered"] * 2
    assert [cdr.integrity for cdr in cdrs if cdr.node == "lab"] == ["complete"] * 4
    both.assert_nothing_left()
