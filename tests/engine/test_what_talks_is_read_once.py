"""Of thousands of calls that talk, a list that refreshes itself reads those that have changed."""

import asyncio

import pytest
from msgspec.structs import replace

from calls.clock import wall_clock_ms
from calls.engine.live import LiveState
from calls.engine.overview import live_now
from calls.machine.events import HangupAsked
from calls.machine.session import Phase
from calls.store.mailbox import Mailboxes, connect
from tests.lab import live


@pytest.fixture
def put(clean_redis):
    now_ms = wall_clock_ms()

    def put(*phases):
        sessions = [live.session(n, now_ms=now_ms, phase=each) for n, each in enumerate(phases)]
        live.put(clean_redis, sessions)
        return sessions

    return put


@pytest.fixture
def reads(clean_redis):
    """How many sessions were read since it was last asked."""

    def reads():
        count = clean_redis.info("commandstats").get("cmdstat_hget", {}).get("calls", 0)
        clean_redis.config_resetstat()
        return count

    reads()
    return reads


@pytest.fixture
def attend(redis_url):
    """Does with the mailboxes what a worker or a listener does."""

    def attend(work):
        async def run():
            async with connect(redis_url) as client:
                boxes = Mailboxes(client)
                await boxes.load_scripts()
                await work(boxes)

        asyncio.run(run())

    return attend


def states():
    return {call.call_id: call.state for call in live_now()}


def test_calls_that_talk_or_end_are_read_once(put, reads):
    put(Phase.TALKING, Phase.TALKING, Phase.ENDING)
    first = states()
    assert reads() == 3
    assert states() == first
    assert reads() == 0


def test_a_call_that_is_being_set_up_is_read_each_time(put, reads):
    put(Phase.TALKING, Phase.DIALLING, Phase.ROUTING)
    states()
    reads()
    states()
    assert reads() == 2


def test_a_call_that_was_saved_since_is_read_again(put, attend):
    (session,) = put(Phase.TALKING)
    assert states() == {session.call_id: LiveState.TALKING}

    async def end(boxes):
        taken = await boxes.take(session.call_id, "worker")
        ending = replace(taken.session, phase=Phase.ENDING, ended_ms=wall_clock_ms())
        await boxes.let_go(ending, "worker", 0, 5_000)

    hang_up = HangupAsked(wall_clock_ms(), "alice")
    attend(lambda boxes: boxes.post([(session.call_id, hang_up)]))
    attend(end)
    assert states() == {session.call_id: LiveState.ENDING}


def test_a_call_that_is_over_is_gone_and_a_new_one_there(put, clean_redis):
    first, second = put(Phase.TALKING, Phase.TALKING)
    states()
    clean_redis.zrem("ringmaster:attend", first.call_id)
    (third,) = live.put(clean_redis, [live.session(7, now_ms=wall_clock_ms())])
    assert states().keys() == {second.call_id, third}


def test_a_session_that_is_not_there_any_more_is_no_call(put, clean_redis):
    (session,) = put(Phase.TALKING)
    clean_redis.delete(f"ringmaster:call:{session.call_id}")
    assert states() == {}
