"""A node that does not answer takes its share of a worker's places, and no more."""

import threading

import pytest

from calls.engine import runtime as runtime_module
from calls.engine.shares import PROBES, SILENT, Shares
from calls.machine.commands import Hangup
from calls.machine.events import CommandFailed
from calls.store.mailbox import ATTEND
from tests.engine.office import Office
from tests.engine.test_worker_processes import (
    PATIENCE_S,
    SlowEngine,
    all_done,
    let_go,
    runtime,  # noqa: F401
)
from tests.machine.world import A

HUNG = CommandFailed(0, Hangup(A, 16), "it does not answer", unknown=True, of_node=True)


def let_in(shares, node, most=1_000):
    """How many turns of this node are let in at once."""
    return sum(shares.enter(node) for _ in range(most))


def test_no_node_has_more_than_half_of_the_places_while_there_are_others():
    shares = Shares(256, nodes=2)

    assert let_in(shares, "hung") == 128
    assert let_in(shares, "well") == 128


def test_a_node_alone_has_no_share_and_its_calls_wait_for_a_place():
    shares = Shares(256, nodes=1)
    for _ in range(2 * SILENT):
        shares.note("demo", answered=False)

    assert let_in(shares, "demo", 300) == 300


def test_a_place_that_was_given_back_is_free():
    shares = Shares(4, nodes=2)
    let_in(shares, "demo")
    shares.leave("demo")

    assert let_in(shares, "demo") == 1


def test_a_node_that_has_not_answered_for_a_while_has_a_few_until_it_does(caplog):
    shares = Shares(256, nodes=2)
    for _ in range(SILENT - 1):
        shares.note("hung", answered=False)
    assert let_in(shares, "hung", 50) == 50
    for _ in range(50):
        shares.leave("hung")

    shares.note("hung", answered=False)
    assert let_in(shares, "hung") == PROBES
    assert let_in(shares, "well") == 128
    shares.note("hung", answered=True)
    assert let_in(shares, "hung") == 128 - PROBES
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        f"Node hung has not answered {SILENT} commands in a row",
        "Node hung answers again.",
    ]


def test_an_answer_now_and_then_is_no_hung_node():
    shares = Shares(256, nodes=2)
    for _ in range(3 * SILENT):
        shares.note("slow", answered=False)
        shares.note("slow", answered=True)

    assert let_in(shares, "slow") == 128


async def test_what_comes_of_a_command_says_whether_the_node_answered(office: Office):
    heard = []
    office.engine._note_node = lambda node, answered: heard.append((node, answered))
    await office.begin()
    assert set(heard) == {("demo", True)}
    heard.clear()
    office.world.broken = {Hangup: HUNG}
    office.world.end(A)
    await office.tell()
    await office.attend()

    assert ("demo", False) in heard


@pytest.fixture
def two_nodes(settings, monkeypatch, request):
    """A worker with four places for two nodes, of which one hangs."""
    monkeypatch.setattr(runtime_module, "IN_FLIGHT", 4)
    settings.ARI_NODES = {"hung": None, "well": None}
    worker = request.getfixturevalue("runtime")
    worker._engine = SlowEngine()
    yield worker
    let_go(worker, worker._engine)
    all_done(worker)


def test_calls_of_a_hung_node_leave_room_for_the_others(two_nodes):
    engine = two_nodes._engine
    told = threading.Thread(
        target=two_nodes.submit, args=([f"hung:{n}" for n in range(9)] + ["well:1", "well:2"],)
    )
    told.start()
    told.join(PATIENCE_S)
    assert not told.is_alive(), "a call of the well node waits for the hung one"
    for _ in range(4):
        engine.wait_for_turn()

    assert sorted(two_nodes._busy) == ["hung:0", "hung:1", "well:1", "well:2"]


def test_calls_that_have_no_place_are_put_off_and_hide_no_others(two_nodes, clean_redis):
    engine = two_nodes._engine
    seconds, _ = clean_redis.time()
    due = {f"hung:{n}": seconds * 1000 - 100_000 + n for n in range(600)}
    clean_redis.zadd(ATTEND, due | {"well:1": seconds * 1000 - 1_000})
    for _ in range(3):
        engine.wait_for_turn()

    assert "well:1" in two_nodes._busy
    assert clean_redis.zscore(ATTEND, "hung:400") > seconds * 1000
