"""A worker process: nudges become turns on its loop, and none is lost, whatever a turn does."""

import asyncio
import threading

import pytest
import redis

from calls.clock import steady_s
from calls.engine import runtime as runtime_module
from calls.engine.keepsake import Keepsake
from calls.engine.runtime import Runtime
from calls.engine.tap import Tap
from calls.engine.tasks import attend
from calls.limits.rules import Book
from calls.machine.commands import CreateChannel, FindRoute
from calls.store.directory import Directory
from calls.store.drains import drain_key
from calls.store.limit_book import LimitBook
from calls.store.mailbox import ATTEND, Mailboxes, connect
from tests.engine.recording_gateway import RecordingGateway
from tests.lab.waiting import wait_for
from tests.machine.world import CALL, World, entered

PATIENCE_S = 10


class Gateway(RecordingGateway):
    """Says when something was carried out."""

    asked = threading.Event()

    async def carry_out(self, node, command, again, until_s):
        self.asked.set()
        return await super().carry_out(node, command, again, until_s)


@pytest.fixture
def runtime(redis_url, clean_redis, settings, monkeypatch):
    """A runtime that is up; its directory is the world's."""
    settings.REDIS_URL = redis_url
    settings.CALLS_GATEWAY = f"{__name__}.Gateway"
    Gateway.asked.clear()
    world = World()

    async def warm(self):
        pass

    async def expect_busiest():
        pass

    async def find(self, facts, version):
        return world.carry_out(FindRoute()).plan

    async def endpoint(self, trunk, number, version):
        return f"PJSIP/{number}@{trunk}"

    async def read(self, version):
        return Book()

    monkeypatch.setattr(LimitBook, "read", read)
    monkeypatch.setattr(Directory, "warm", warm)
    monkeypatch.setattr(runtime_module, "expect_busiest", expect_busiest)
    monkeypatch.setattr(Directory, "find", find)
    monkeypatch.setattr(Directory, "endpoint", endpoint)
    running = Runtime()
    running.start()
    yield running
    if not running._stopping:
        running.stop()


class SlowEngine:
    """An engine whose turns last until they are let go."""

    def __init__(self):
        self.turns = 0
        self.finished = 0
        self.calls_seen = set()
        self.began = threading.Semaphore(0)
        self.go = asyncio.Event()
        self.fault = None
        self.keepsake = Keepsake(steady_s)

    async def attend(self, call, found=False):
        self.turns += 1
        self.calls_seen.add(call)
        self.began.release()
        await self.go.wait()
        if self.fault:
            raise self.fault
        self.finished += 1

    def wait_for_turn(self):
        assert self.began.acquire(timeout=PATIENCE_S), "no turn began"


class OneByOne(SlowEngine):
    """An engine of whose turns one ends each time that it is told so."""

    def __init__(self):
        super().__init__()
        self.places = asyncio.Semaphore(0)

    async def attend(self, call, found=False):
        self.turns += 1
        self.calls_seen.add(call)
        self.began.release()
        await self.places.acquire()

    def let_all_go(self, runtime):
        for _ in range(100):
            runtime._loop.call_soon_threadsafe(self.places.release)


@pytest.fixture
def slow(runtime):
    runtime._engine = SlowEngine()
    return runtime._engine


def let_go(runtime, engine):
    runtime._loop.call_soon_threadsafe(engine.go.set)


def all_done(runtime):
    """Wait until the loop has done what it was told so far, and every turn has ended."""

    endless = (runtime._sweeper, runtime._keeper)

    async def done():
        turns = [task for task in runtime._tasks if task not in endless]
        await asyncio.gather(*turns)

    asyncio.run_coroutine_threadsafe(done(), runtime._loop).result(PATIENCE_S)


def test_a_nudge_during_a_turn_brings_one_more_turn(runtime, slow):
    runtime.submit([CALL])
    slow.wait_for_turn()
    runtime.submit([CALL, CALL])
    let_go(runtime, slow)
    slow.wait_for_turn()
    all_done(runtime)

    assert slow.turns == 2


def test_a_turn_that_nobody_nudged_again_comes_once(runtime, slow):
    runtime.submit([CALL])
    slow.wait_for_turn()
    let_go(runtime, slow)
    all_done(runtime)

    assert slow.turns == 1


def test_a_worker_that_is_drained_learns_it_and_that_it_is_over(
    runtime, slow, clean_redis, monkeypatch
):
    tap = Tap()
    monkeypatch.setattr(runtime_module, "tap", tap)
    runtime.submit([CALL])
    slow.wait_for_turn()
    assert runtime._describes_itself() == "1 turn"
    drained = drain_key(runtime._heart.name)
    clean_redis.set(drained, "{}")
    wait_for(lambda: tap.is_shut, timeout_s=PATIENCE_S, failure=lambda: "it takes nudges")
    assert runtime._describes_itself() == "drained, 1 turn"

    clean_redis.delete(drained)
    wait_for(lambda: not tap.is_shut, timeout_s=PATIENCE_S, failure=lambda: "it takes none")
    let_go(runtime, slow)


def test_after_redis_has_lost_data_a_due_call_is_left_to_the_comparison(
    runtime, slow, clean_redis, monkeypatch
):
    """What Redis remembers of it may be older than its talk."""
    monkeypatch.setattr(runtime_module, "COMPARED_S", 3_600)
    swept = threading.Semaphore(0)
    due = runtime._mailboxes.due

    async def counted(*args):
        found = await due(*args)
        swept.release()
        return found

    def let_it_sweep():
        for _ in range(3):
            assert swept.acquire(timeout=PATIENCE_S), "the sweeper did not look"

    monkeypatch.setattr(runtime._mailboxes, "due", counted)
    let_it_sweep()
    clean_redis.flushdb()
    clean_redis.zadd(ATTEND, {CALL: 0})
    let_it_sweep()
    assert slow.turns == 0

    runtime._compared_s = 0.0
    slow.wait_for_turn()
    let_go(runtime, slow)


def test_what_redis_lost_is_given_back_as_soon_as_it_answers(runtime, slow, monkeypatch):
    """Not after the usual pause of a sweep: somebody may have had the calls end again by then."""
    steps = []
    over = threading.Event()
    answers = iter([False, False, True])

    async def shows_change(mark):
        answer = next(answers, None)
        if answer is False:
            steps.append("away")
            raise redis.ConnectionError("refused")
        return bool(answer)

    async def give_back(mailboxes):
        steps.append("given back")
        over.set()

    async def pause(live, usual=runtime._until_next_sweep):
        if steps and not over.is_set():
            steps.append("usual pause")
        await usual(live)

    monkeypatch.setattr(slow.keepsake, "give_back", give_back)
    monkeypatch.setattr(runtime, "_until_next_sweep", pause)
    monkeypatch.setattr(runtime._mark, "shows_change", shows_change)
    assert over.wait(PATIENCE_S), steps
    assert steps == ["away", "away", "given back"]


def test_calls_do_not_wait_for_each_other(runtime, slow):
    runtime.submit(["demo:1", "demo:2", "demo:3"])
    for _ in range(3):
        slow.wait_for_turn()
    let_go(runtime, slow)
    all_done(runtime)


def test_past_its_room_a_process_takes_no_more(redis_url, clean_redis, monkeypatch, request):
    monkeypatch.setattr(runtime_module, "IN_FLIGHT", 2)
    runtime = request.getfixturevalue("runtime")
    slow = request.getfixturevalue("slow")
    waiting = threading.Thread(target=runtime.submit, args=(["demo:1", "demo:2", "demo:3"],))
    waiting.start()
    slow.wait_for_turn()
    slow.wait_for_turn()
    assert waiting.is_alive()
    assert not slow.began.acquire(blocking=False)
    let_go(runtime, slow)
    slow.wait_for_turn()
    waiting.join(PATIENCE_S)
    all_done(runtime)

    assert slow.turns == 3


def test_a_call_that_is_due_has_a_place_though_nudges_always_wait_for_one(
    redis_url, clean_redis, monkeypatch, request
):
    monkeypatch.setattr(runtime_module, "IN_FLIGHT", 2)
    runtime = request.getfixturevalue("runtime")
    runtime._engine = engine = OneByOne()
    nudging = threading.Thread(target=runtime.submit, args=([f"demo:{n}" for n in range(40)],))
    nudging.start()
    for _ in range(2):
        engine.wait_for_turn()
    clean_redis.zadd(ATTEND, {"demo:due": 1})
    wait_for(
        lambda: "demo:due" in runtime._found,
        timeout_s=PATIENCE_S,
        failure=lambda: "the sweeper did not find the call",
    )
    for _ in range(3):
        runtime._loop.call_soon_threadsafe(engine.places.release)
        engine.wait_for_turn()

    assert "demo:due" in engine.calls_seen
    clean_redis.delete(ATTEND)
    engine.let_all_go(runtime)
    nudging.join(PATIENCE_S)
    all_done(runtime)


def test_a_fault_in_one_turn_is_logged_and_leaves_the_others_alone(runtime, slow, caplog):
    slow.fault = ValueError("a bug")
    let_go(runtime, slow)
    runtime.submit(["demo:1"])
    slow.wait_for_turn()
    all_done(runtime)
    assert "Call demo:1 could not be attended to" in caplog.text
    assert "a bug" in caplog.text

    runtime.submit(["demo:1"])
    slow.wait_for_turn()
    all_done(runtime)
    assert slow.turns == 2


def test_stopping_waits_for_the_turns_that_have_begun(runtime, slow):
    runtime.submit([CALL])
    slow.wait_for_turn()
    stopping = threading.Thread(target=runtime.stop)
    stopping.start()
    wait_for(lambda: runtime._stopping, timeout_s=PATIENCE_S, failure=lambda: "it does not stop")
    let_go(runtime, slow)
    stopping.join(PATIENCE_S)

    assert slow.finished == 1


def test_calls_of_a_node_that_a_worker_does_not_know_are_left_to_others(runtime, slow, caplog):
    runtime.submit(["unknown:1", "demo:1", "unknown:2"])
    slow.wait_for_turn()
    let_go(runtime, slow)
    all_done(runtime)

    assert slow.turns == 1
    assert caplog.text.count("Node unknown is not in ARI_NODES of this worker") == 1


def test_calls_left_to_others_do_not_hide_those_that_are_due_after_them(
    runtime, slow, clean_redis, monkeypatch
):
    monkeypatch.setattr(runtime_module, "AT_A_SWEEP", 2)
    seconds, _ = clean_redis.time()
    due_ms = seconds * 1000 - 5_000
    clean_redis.zadd(ATTEND, {f"unknown:{n}": due_ms + n for n in range(5)} | {CALL: due_ms + 9})

    slow.wait_for_turn()
    let_go(runtime, slow)


def test_calls_of_a_node_that_nobody_knows_are_looked_at_in_the_end(runtime, slow, clean_redis):
    clean_redis.zadd(ATTEND, {"unknown:1": 0})

    slow.wait_for_turn()
    let_go(runtime, slow)


def test_the_sweeper_finds_a_call_whose_nudge_was_lost(runtime, redis_url, clean_redis):
    async def post_and_lose_the_nudge():
        client = connect(redis_url)
        mailboxes = Mailboxes(client)
        await mailboxes.load_scripts()
        nudges = await mailboxes.post([(CALL, entered())])
        await client.aclose()
        return nudges

    assert asyncio.run(post_and_lose_the_nudge()) == [CALL]
    clean_redis.zadd(ATTEND, {CALL: 0})

    assert Gateway.asked.wait(PATIENCE_S), "the sweeper did not come"
    all_done(runtime)
    commands = [command for _, command, _ in runtime._gateway.outbox]
    assert isinstance(commands[0], CreateChannel)


@pytest.fixture
def quiet_for_an_hour(monkeypatch):
    monkeypatch.setattr(runtime_module, "QUIET_S", (3_600, 3_600))


@pytest.mark.usefixtures("quiet_for_an_hour")
def test_a_call_that_begins_wakes_the_sweeper(runtime, slow, clean_redis):
    clean_redis.zadd(ATTEND, {"demo:2": 0})
    runtime.submit([CALL])
    slow.wait_for_turn()
    slow.wait_for_turn()
    let_go(runtime, slow)

    assert slow.calls_seen == {CALL, "demo:2"}


def test_the_task_only_hands_the_calls_over(monkeypatch):
    class Taker:
        def submit(self, calls):
            self.calls = calls

    taker = Taker()
    monkeypatch.setattr(runtime_module, "_runtime", taker)
    attend([CALL, "demo:2"])

    assert taker.calls == [CALL, "demo:2"]


def test_the_task_is_refused_in_a_process_that_attends_to_no_calls(monkeypatch):
    monkeypatch.setattr(runtime_module, "_runtime", None)

    with pytest.raises(RuntimeError, match="does not attend to calls"):
        attend([CALL])
