"""Mailboxes in Redis: who is nudged, what is due, and that nothing is lost to a lost reply."""

import time

import pytest
from redis.exceptions import NoScriptError

from calls.engine import Engine
from calls.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelLeft,
    ChannelRinging,
    HangupAsked,
    HangupRequested,
)
from calls.machine import begin
from calls.mailbox import ATTEND, Mailboxes, connect
from tests.engine.office import Office
from tests.lab.faulty_redis import FaultyRedis
from tests.machine.world import CALL, A, b, entered

FAR = 2**52
MAIL = f"ringmaster:mail:{CALL}"
HASH = f"ringmaster:call:{CALL}"


@pytest.fixture
async def waiting(office):
    """A call that nobody attends to, whose next look is far away."""
    await office.begin()
    await office.attend()
    office.client.zadd(ATTEND, {CALL: FAR})
    office.client.delete(MAIL)
    office.nudges.clear()
    return office


def due_ms(office: Office) -> float:
    return office.client.zscore(ATTEND, CALL)


def is_soon(office: Office) -> bool:
    """Whether the sweeper looks within a second (by the clock of Redis)."""
    seconds, micros = office.client.time()
    return due_ms(office) <= seconds * 1000 + micros // 1000 + 1000


@pytest.mark.parametrize(
    ("event", "nudges", "soon"),
    [
        (ChannelRinging(b(), 1), False, False),
        (ChannelLeft(b(), 1), False, True),
        (ChannelLeft(A, 1), True, True),
        (HangupRequested(b(), 1, 17), False, True),
        (HangupRequested(A, 1), True, True),
        (ChannelAnswered(b(), 1), True, True),
        (ChannelDestroyed(b(), 1), True, True),
        (HangupAsked(1, "root"), True, True),
    ],
    ids=[
        "ringing",
        "b left",
        "a left",
        "hangup with a cause",
        "bye",
        "answered",
        "destroyed",
        "asked",
    ],
)
async def test_how_soon_a_worker_must_look(waiting, event, nudges, soon):
    await waiting.post(event)

    assert waiting.nudges == [CALL] * nudges
    assert is_soon(waiting) is soon
    assert waiting.mail == 1


async def test_one_nudge_is_enough_until_the_mailbox_has_been_read(waiting):
    await waiting.post(HangupAsked(1, "root"), HangupAsked(2, "root"))
    await waiting.post(HangupAsked(3, "root"))
    assert waiting.nudges == [CALL]

    taken = await waiting.mailboxes.take(CALL, "token")
    await waiting.mailboxes.release(taken.session, "token", 3)
    await waiting.post(HangupAsked(4, "root"))
    assert waiting.nudges == [CALL, CALL]


async def test_an_event_never_puts_a_look_off(waiting):
    waiting.client.zadd(ATTEND, {CALL: 5})
    await waiting.post(HangupAsked(1, "root"))

    assert due_ms(waiting) == 5


async def test_a_call_whose_nudge_was_lost_is_due_a_second_later(office):
    await office.post(entered())
    now_ms = time.time_ns() // 1_000_000

    assert await office.mailboxes.due(now_ms - 1_000) == []
    assert [call for call, _ in await office.mailboxes.due(now_ms + 1_100)] == [CALL]


async def test_a_call_in_a_turn_is_due_when_its_lock_lapses(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    until_ms = int(office.client.hget(HASH, "until"))

    assert due_ms(office) == until_ms
    assert await office.mailboxes.due(until_ms - 1) == []
    assert await office.mailboxes.due(until_ms) == [(CALL, until_ms)]


async def test_the_longest_due_come_first_and_no_more_than_asked_for(office):
    office.client.zadd(ATTEND, {"n:3": 3, "n:1": 1, "n:2": 2, "n:9": 9})

    assert await office.mailboxes.due(5) == [("n:1", 1), ("n:2", 2), ("n:3", 3)]
    assert await office.mailboxes.due(5, most=2) == [("n:1", 1), ("n:2", 2)]


async def test_a_released_call_is_due_at_the_time_its_session_names(office):
    await office.begin()
    await office.attend()

    assert due_ms(office) == office.session.wake_ms
    assert office.client.hkeys(HASH) == [b"session"]


async def test_a_mailbox_is_not_let_go_while_something_is_in_it(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    await office.post(HangupAsked(5, "root"))
    session = begin(CALL, entered())
    left = await office.mailboxes.release(session, "token", 1)

    assert left == (HangupAsked(5, "root"),)
    assert office.client.hget(HASH, "token") == b"token"
    assert await office.mailboxes.release(session, "token", 1) == ()
    assert not office.client.hexists(HASH, "token")


async def test_a_worker_goes_on_when_redis_has_forgotten_the_scripts(office):
    office.gateway.listens = False
    await office.post(entered())
    office.client.script_flush()
    await office.attend()

    assert office.world.dialled == [b()]


async def test_a_post_says_when_redis_has_forgotten_the_scripts(office):
    """It goes through a pipeline, which cannot load them by itself: the poster does."""
    office.client.script_flush()
    with pytest.raises(NoScriptError):
        await office.post(entered())
    await office.mailboxes.load_scripts()

    assert await office.post(entered()) == [CALL]


async def test_a_mailbox_with_something_that_is_no_event_is_said_and_left_alone_for_a_while(
    office, caplog
):
    office.client.rpush(MAIL, b'["unheard of"]')
    await office.attend()

    assert "which is not an event" in caplog.text
    assert office.mail == 1
    assert await office.mailboxes.peek([CALL]) == {}


async def test_calls_can_be_seen_without_being_touched(office):
    await office.begin()
    await office.post(ChannelRinging(b(), 7))
    before = {key: office.client.dump(key) for key in office.client.scan_iter()}
    seen = await office.mailboxes.peek([CALL, "demo:gone"])

    assert seen[CALL][0] == office.session
    assert seen[CALL][1][-1] == ChannelRinging(b(), 7)
    assert seen["demo:gone"] == (None, ())
    assert {key: office.client.dump(key) for key in office.client.scan_iter()} == before


async def test_live_calls_are_told_apart_by_node(office):
    office.client.zadd(ATTEND, {"demo:1": 1, "other:2": 2})

    assert await office.mailboxes.live() == ["demo:1", "other:2"]
    assert await office.mailboxes.live("demo") == ["demo:1"]


# --- A reply is lost, and the client asks again -----------------------------------------------


@pytest.fixture
async def way(redis_url, clean_redis):
    async with FaultyRedis(redis_url) as found:
        yield found


@pytest.fixture
async def far_office(way, clean_redis):
    client = connect(way.url)
    mailboxes = Mailboxes(client)
    await mailboxes.load_scripts()
    yield Office(mailboxes, clean_redis)
    await client.aclose()


async def test_a_lock_whose_reply_was_lost_is_ours(far_office, way):
    await far_office.post(entered())
    way.lose_next_reply()
    taken = await far_office.mailboxes.take(CALL, "token")

    assert way.lost == 1
    assert taken.events == (entered(),)


async def test_a_save_whose_reply_was_lost_drops_no_event(far_office, way):
    await far_office.post(entered())
    await far_office.mailboxes.take(CALL, "token")
    session = begin(CALL, entered())
    await far_office.post(HangupAsked(5, "root"))
    way.lose_next_reply()
    left = await far_office.mailboxes.save(session, "token", 1)

    assert way.lost == 1
    assert left == (HangupAsked(5, "root"),)
    assert await far_office.mailboxes.save(session, "token", 1) == ()


async def test_a_call_goes_well_whichever_reply_is_lost(redis_url, clean_redis):
    """One reply in each call; which one moves on from call to call until there is none left."""
    lost = 0
    for nth in range(1, 40):
        clean_redis.flushdb()
        async with FaultyRedis(redis_url) as way:
            client = connect(way.url)
            mailboxes = Mailboxes(client)
            await mailboxes.load_scripts()
            office = Office(mailboxes, clean_redis)
            office.engine = Engine(
                _LosesNth(mailboxes, way, nth), office.gateway, office.directory, lambda: 0
            )
            await office.begin()
            office.world.answer(b())
            await office.tell()
            office.expire_lock()
            await office.attend()
            office.world.end(A)
            await office.tell()
            office.expire_lock()
            await office.attend()
            office.expire_lock()
            await office.settle()
            await client.aclose()
        assert office.assert_ended_clean().disposition == "answered"
        lost += way.lost
        if not way.lost:
            break
    assert lost > 5


class _LosesNth:
    """Mailboxes the nth use of which loses its reply."""

    def __init__(self, inner: Mailboxes, way: FaultyRedis, nth: int) -> None:
        self._inner, self._way, self._left = inner, way, nth

    def __getattr__(self, name):
        method = getattr(self._inner, name)

        async def call(*args):
            self._left -= 1
            if self._left == 0:
                self._way.lose_next_reply()
            return await method(*args)

        return call
