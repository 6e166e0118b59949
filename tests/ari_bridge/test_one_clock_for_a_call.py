"""A call is timed by its node's clock, however wrong the worker's is."""

import time
from datetime import timedelta

import orjson
import pytest

from ari_bridge.client import Answered, AriClient, Unreachable
from ari_bridge.clocks import GOOD_S, OLD_S, NodeClocks
from ari_bridge.gateway import AriGateway
from calls.machine.commands import Hangup

NODE_MS = 1_763_900_000_000


class Node:
    """A node that answers a ping after half of ``takes_s``, and its answer comes after the rest."""

    def __init__(self, double_node):
        self.node = double_node
        self.steady_s = 500.0
        self.ahead_s = 0.0
        self.takes_s = 0.002
        self.answers = True

    async def request(self, method, path, until_s):
        assert (method, path) == ("GET", "/asterisk/ping")
        self.steady_s += self.takes_s / 2
        at_ms = round(NODE_MS + (self.steady_s - 500 + self.ahead_s) * 1000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000))
        self.steady_s += self.takes_s / 2
        if not self.answers:
            raise Unreachable("it is away", sent=True)
        told = {"timestamp": f"{stamp}.{at_ms % 1000:03d}+0000"}
        return Answered(200, orjson.dumps(told))


@pytest.fixture
def node(double):
    return Node(double.node)


@pytest.fixture
def clocks(node):
    """Of a worker whose wall clock is 30 s ahead of the node's."""
    return NodeClocks(
        lambda: node.steady_s, lambda: round(NODE_MS + 30_000 + (node.steady_s - 500) * 1000)
    )


def error_ms(clocks, node):
    """How far what we take for the node's time is from it."""
    truth_ms = NODE_MS + (node.steady_s - 500 + node.ahead_s) * 1000
    return abs(clocks.now_ms(node.node.name) - truth_ms)


async def test_the_time_is_the_nodes_once_it_was_measured(clocks, node):
    assert error_ms(clocks, node) == pytest.approx(30_000, abs=2)
    await clocks.measure([node])
    node.steady_s += 3_600

    assert error_ms(clocks, node) <= 2


async def test_a_slow_answer_is_not_believed_while_a_good_one_is_young(clocks, node):
    await clocks.measure([node])
    node.ahead_s, node.takes_s = 5, 2 * GOOD_S
    await clocks.measure([node])
    assert error_ms(clocks, node) == pytest.approx(5_000, abs=2)
    node.steady_s += OLD_S
    await clocks.measure([node])

    assert error_ms(clocks, node) <= 2


async def test_a_node_that_does_not_answer_stays_as_it_was(clocks, node):
    await clocks.measure([node])
    node.answers = False
    await clocks.measure([node])

    assert error_ms(clocks, node) <= 2


async def test_drift_is_said_once_and_again_when_it_changes(clocks, node, caplog):
    for _ in range(3):
        await clocks.measure([node])
    assert [record.message.partition(" this")[0] for record in caplog.records] == [
        f"The clock of node {node.node.name} is 30.0 s behind"
    ]
    node.ahead_s = 30.2
    for _ in range(2):
        await clocks.measure([node])
    assert caplog.records[-1].message.endswith("agrees with this machine's again.")
    assert len(caplog.records) == 2


async def test_what_comes_of_a_command_is_stamped_by_the_nodes_clock(double):
    double.clock_ahead = timedelta(hours=-1)
    gateway = AriGateway({"double": double.node}, "ringmaster")
    await gateway.know_time()
    before_ms = time.time_ns() // 1_000_000
    outcome = await gateway.carry_out("double", Hangup("1.2", 16), False)
    await gateway.close()

    assert abs(outcome.at_ms - before_ms + 3_600_000) < 60_000
    assert abs(gateway.now_ms("double") - before_ms + 3_600_000) < 60_000


async def test_a_client_that_is_real_is_understood(double):
    double.clock_ahead = timedelta(days=3)
    clocks, client = NodeClocks(), AriClient(double.node)
    await clocks.measure([client])
    await client.close()

    assert abs(clocks.now_ms("double") - time.time_ns() // 1_000_000 - 3 * 86_400_000) < 60_000
