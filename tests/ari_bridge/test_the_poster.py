"""Events go from the listener into the mailboxes in order, and none is lost to Redis."""

import asyncio

import pytest
import uvloop

from ari_bridge import poster as poster_module
from ari_bridge.heard import Heard
from ari_bridge.poster import Poster
from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelLeft,
    ChannelRinging,
    HangupAsked,
    HangupRequested,
    decode,
)
from calls.store.mailbox import Mailboxes, connect
from tests.ari_bridge.conftest import said
from tests.lab.faulty_redis import FaultyRedis
from tests.machine.world import A, b, entered

CALL = f"demo:{A}"


class CountedMailboxes(Mailboxes):
    """Remembers what was posted together."""

    def __init__(self, client):
        super().__init__(client)
        self.posts = []
        self.came = asyncio.Event()

    async def post(self, posts):
        self.posts.append([event for _, event in posts])
        self.came.set()
        return await super().post(posts)


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
    mailboxes = CountedMailboxes(client)
    found = Poster(mailboxes, nudger)
    found.posts, found.came = mailboxes.posts, mailboxes.came
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
    assert poster.waiting == 700
    await way.up()
    await poster.drain(10)

    assert poster.waiting == 0
    assert without_repeats(mail(clean_redis)) == [entered(), *asked(range(700))]


def test_what_is_due_within_a_millisecond_is_no_fault_on_the_bridges_own_loop(
    redis_url, clean_redis, nudger, monkeypatch
):
    """uvloop has no timers of less than a millisecond, and gives another handle for these."""
    patience = iter([(0.0004, 0.0004), (0.0003, 0.0003)])
    monkeypatch.setattr(poster_module, "_patience_s", lambda *_: next(patience))

    async def posting():
        client = connect(redis_url)
        poster = Poster(Mailboxes(client), nudger)
        running = asyncio.create_task(poster.run())
        poster.add(CALL, entered())
        poster.add(f"demo:{A}2", HangupAsked(1, "root"))
        await poster.drain(10)
        running.cancel()
        await client.aclose()

    uvloop.run(posting())

    assert mail(clean_redis) == [entered()]


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
    mailboxes = Mailboxes(connect(redis_url))
    poster = Poster(mailboxes, nudger)
    poster.add(CALL, entered())
    await poster.drain(0)

    assert "1 events could not be posted before the end" in caplog.text


async def test_the_signs_of_a_channels_end_are_posted_together(poster, nudger):
    poster.add(CALL, entered())
    await poster.posted()
    ends = [HangupRequested(A, 1), ChannelLeft(A, 2), ChannelDestroyed(A, 3, 16)]
    for event in ends:
        poster.add(CALL, event)
        # As they come: each in a message of its own.
        await asyncio.sleep(0)
    await poster.drain(10)

    assert poster.posts[1:] == [ends]


async def test_what_asks_for_no_action_waits_for_what_does(poster):
    poster.add(CALL, entered())
    await poster.posted()
    poster.add(CALL, ChannelRinging(b(), 1))
    await asyncio.sleep(0)
    poster.add(CALL, ChannelAnswered(b(), 2))
    await poster.drain(10)

    assert poster.posts[1:] == [[ChannelRinging(b(), 1), ChannelAnswered(b(), 2)]]


@pytest.mark.parametrize("first", ["a", "b"])
async def test_both_answers_of_a_call_are_posted_together(poster, nudger, monkeypatch, first):
    monkeypatch.setattr(poster_module, "ANSWER_S", 60)
    monkeypatch.setattr(poster_module, "GATHER_S", 60)
    poster.add(CALL, entered())
    await poster.posted()
    answers = [ChannelAnswered(A, 2), ChannelAnswered(b(), 1)]
    for event in answers if first == "a" else reversed(answers):
        poster.add(CALL, event)
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await poster._idle.wait()

    assert len(poster.posts) == 2
    assert set(poster.posts[1]) == set(answers)


async def test_an_answer_goes_alone_where_the_callers_does_not_follow(poster, clean_redis):
    poster.add(CALL, entered())
    await poster.posted()
    poster.add(CALL, ChannelAnswered(b(), 1))
    async with asyncio.timeout(10):
        await poster._idle.wait()

    assert poster.posts[1:] == [[ChannelAnswered(b(), 1)]]


async def test_an_end_does_not_wait_for_an_answer(poster, monkeypatch):
    monkeypatch.setattr(poster_module, "ANSWER_S", 60)
    poster.add(CALL, entered())
    await poster.posted()
    both = [ChannelAnswered(b(), 1), HangupRequested(A, 2)]
    for event in both:
        poster.add(CALL, event)
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await poster._idle.wait()

    assert poster.posts[1:] == [both]


async def test_what_asks_for_no_action_is_posted_in_the_end(poster, clean_redis):
    poster.add(CALL, entered())
    await poster.posted()
    poster.add(CALL, ChannelRinging(b(), 1))
    async with asyncio.timeout(10):
        await poster._idle.wait()

    assert mail(clean_redis) == [entered(), ChannelRinging(b(), 1)]


async def test_an_urgent_event_of_one_call_does_not_hurry_those_of_another(poster):
    for call in (CALL, "demo:2.1"):
        poster.add(call, entered())
    await poster.posted()
    poster.came.clear()
    poster.add("demo:2.1", ChannelRinging("2.1.b1", 1))
    poster.add(CALL, HangupAsked(1, "root"))
    async with asyncio.timeout(10):
        await poster.came.wait()
    assert poster.posts[1] == [HangupAsked(1, "root")]
    await poster.drain(10)

    assert poster.posts[2] == [ChannelRinging("2.1.b1", 1)]


@pytest.mark.parametrize(
    "events",
    [
        [ChannelRinging(b(), 1)],
        [HangupRequested(b(), 1, 32, soft=True), ChannelLeft(b(), 2), ChannelDestroyed(b(), 3)],
    ],
    ids=["a fact", "an end that we asked for"],
)
async def test_what_nobody_waits_for_goes_along_with_what_is_due(poster, monkeypatch, events):
    for name in ("GATHER_S", "ENDED_S"):
        monkeypatch.setattr(poster_module, name, 60)
    monkeypatch.setattr(poster_module, "COMPANY_S", 0)
    for call in (CALL, "demo:2.1"):
        poster.add(call, entered())
    await poster.posted()
    for event in events:
        poster.add(CALL, event)
    poster.add("demo:2.1", HangupAsked(9, "root"))
    async with asyncio.timeout(10):
        await poster._idle.wait()

    assert poster.posts[1:] == [[*events, HangupAsked(9, "root")]]


async def test_what_must_be_done_does_not_wait_for_the_end_of_a_channel_that_we_ended(
    poster, monkeypatch
):
    for name in ("GATHER_S", "ENDED_S", "COMPANY_S"):
        monkeypatch.setattr(poster_module, name, 60)
    poster.add(CALL, entered())
    await poster.posted()
    poster.came.clear()
    both = [HangupRequested(b(), 1, 32, soft=True), HangupAsked(2, "root")]
    for event in both:
        poster.add(CALL, event)
    async with asyncio.timeout(10):
        await poster.came.wait()

    assert poster.posts[1:] == [both]


async def test_a_talk_waits_for_nothing(poster, monkeypatch):
    """It is billed, and nobody else has heard of it."""
    for name in ("ANSWER_S", "GATHER_S", "ENDED_S"):
        monkeypatch.setattr(poster_module, name, 60)
    poster.add(CALL, entered())
    await poster.posted()
    poster.came.clear()
    for event in (ChannelAnswered(b(), 1), ChannelAnswered(A, 2)):
        poster.add(CALL, event)
    async with asyncio.timeout(10):
        await poster.came.wait()

    assert poster.posts[1:] == [[ChannelAnswered(b(), 1), ChannelAnswered(A, 2)]]


async def test_an_answer_does_not_go_along_before_the_other_sides(poster, monkeypatch):
    monkeypatch.setattr(poster_module, "ANSWER_S", 60)
    for call in (CALL, "demo:2.1"):
        poster.add(call, entered())
    await poster.posted()
    poster.came.clear()
    poster.add(CALL, ChannelAnswered(b(), 1))
    poster.add("demo:2.1", HangupAsked(9, "root"))
    async with asyncio.timeout(10):
        await poster.came.wait()

    assert poster.posts[1:] == [[HangupAsked(9, "root")]]


async def test_past_what_memory_allows_the_oldest_go_and_it_is_said(nudger, caplog, monkeypatch):
    monkeypatch.setattr(poster_module, "MOST_WAITING", 3)
    poster = Poster(None, nudger)
    for event in asked(range(5)):
        poster.add(CALL, event)

    assert [event.at_ms for event in poster._waiting[CALL]] == [2, 3, 4]
    assert "the oldest waiting events are dropped" in caplog.text


async def test_a_channel_whose_attempt_is_no_number_of_64_bits_ends_no_poster(poster, clean_redis):
    heard = Heard()
    hostile = f"{A}.b{10**20}"
    for event in (entered(), ChannelAnswered(hostile, 5), ChannelDestroyed(hostile, 6)):
        poster.add(CALL, heard.note(event))
    await poster.drain(2)

    assert mail(clean_redis)[:1] == [entered()]
    assert poster.waiting == 0
