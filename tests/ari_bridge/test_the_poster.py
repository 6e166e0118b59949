"""Events go from the listener into the mailboxes in order, and none is lost to Redis."""

import asyncio
import logging

import pytest
import redis

from ari_bridge import poster as poster_module
from ari_bridge.poster import Poster
from calls.events import HangupAsked, decode
from calls.mailbox import Mailboxes, connect
from tests.lab.faulty_redis import FaultyRedis
from tests.machine.world import A, entered

CALL = f"demo:{A}"


class NudgerStub:
    def __init__(self):
        self.nudged = []

    def nudge(self, calls):
        self.nudged += calls


@pytest.fixture
async def way(redis_url, clean_redis):
    async with FaultyRedis(redis_url) as found:
        yield found


@pytest.fixture
def nudger():
    return NudgerStub()


@pytest.fixture
async def poster(way, nudger):
    client = connect(way.url)
    found = Poster(Mailboxes(client), nudger)
    running = asyncio.create_task(found.run())
    yield found
    assert not running.done()
    running.cancel()
    await client.aclose()


def asked(numbers):
    return [HangupAsked(number, "root") for number in numbers]


def mail(clean_redis):
    return [decode(each) for each in clean_redis.lrange(f"ringmaster:mail:{CALL}", 0, -1)]


def without_repeats(events):
    return list(dict.fromkeys(events))


async def test_events_arrive_in_order_and_a_worker_is_nudged_once(poster, clean_redis, nudger):
    events = [entered(), *asked(range(1000))]
    for event in events:
        poster.add(CALL, event)
    await poster.drain(10)

    assert mail(clean_redis) == events
    assert nudger.nudged == [CALL]


async def test_redis_that_has_forgotten_the_scripts_is_given_them(poster, clean_redis):
    clean_redis.script_flush()
    poster.add(CALL, entered())
    await poster.drain(10)
    clean_redis.script_flush()
    poster.add(CALL, HangupAsked(1, "root"))
    await poster.drain(10)

    assert mail(clean_redis) == [entered(), HangupAsked(1, "root")]


async def test_while_redis_is_away_events_wait_in_order(poster, clean_redis, way, caplog):
    poster.add(CALL, entered())
    await poster.drain(10)
    await way.down()
    for event in asked(range(600)):
        poster.add(CALL, event)
    await said(caplog, "takes no events, they wait here")
    for event in asked(range(600, 700)):
        poster.add(CALL, event)
    await way.up()
    await poster.drain(10)

    assert without_repeats(mail(clean_redis)) == [entered(), *asked(range(700))]


async def said(caplog, sentence):
    """Wait until this has been logged."""
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Ear(logging.Handler):
        def emit(self, record):
            if sentence in record.getMessage():
                loop.call_soon(heard.set)

    ear = Ear()
    logging.getLogger(poster_module.__name__).addHandler(ear)
    try:
        if sentence not in caplog.text:
            await asyncio.wait_for(heard.wait(), 10)
    finally:
        logging.getLogger(poster_module.__name__).removeHandler(ear)


async def test_a_lost_reply_loses_no_event(poster, clean_redis, way):
    poster.add(CALL, entered())
    await poster.drain(10)
    way.lose_next_reply()
    for event in asked(range(100)):
        poster.add(CALL, event)
    await poster.drain(10)

    assert way.lost == 1
    assert without_repeats(mail(clean_redis)) == [entered(), *asked(range(100))]


async def test_what_could_not_be_posted_before_the_end_is_said(redis_url, nudger, caplog):
    mailboxes = Mailboxes(redis.asyncio.Redis.from_url(redis_url))
    poster = Poster(mailboxes, nudger)
    poster.add(CALL, entered())
    await poster.drain(0)

    assert "1 events could not be posted before the end" in caplog.text


async def test_past_what_memory_allows_the_oldest_go_and_it_is_said(nudger, caplog, monkeypatch):
    monkeypatch.setattr(poster_module, "MOST_WAITING", 3)
    poster = Poster(None, nudger)
    for event in asked(range(5)):
        poster.add(CALL, event)

    assert [event.at_ms for _, event in poster._waiting] == [2, 3, 4]
    assert "the oldest waiting events are dropped" in caplog.text
