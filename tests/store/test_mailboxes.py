"""Mailboxes in Redis: who is nudged, what is due, and that nothing is lost to a lost reply."""

import asyncio

import pytest
from redis.exceptions import NoScriptError

from calls.engine.turn import Engine
from calls.machine.beginning import begin
from calls.machine.events import (
    ChannelAnswered,
    ChannelDestroyed,
    ChannelLeft,
    ChannelRinging,
    HangupAsked,
    HangupRequested,
)
from calls.store.mailbox import ATTEND, CLOCK, LOCK_MS, Mailboxes, connect
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


def redis_ms(office: Office) -> int:
    seconds, micros = office.client.time()
    return seconds * 1000 + micros // 1000


def is_soon(office: Office) -> bool:
    """Whether the sweeper looks within a second (by the clock of Redis)."""
    return due_ms(office) <= redis_ms(office) + 1000


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


async def test_both_answers_nudge_nobody_and_the_next_look_takes_them_in(waiting):
    await waiting.post(ChannelRinging(b(), 1), ChannelAnswered(b(), 2), ChannelAnswered(A, 3))

    assert waiting.nudges == []
    assert due_ms(waiting) <= redis_ms(waiting)


async def test_both_answers_with_an_end_nudge_a_worker(waiting):
    await waiting.post(ChannelAnswered(b(), 2), ChannelAnswered(A, 3), HangupRequested(A, 4))

    assert waiting.nudges == [CALL]


async def test_one_nudge_is_enough_until_the_mailbox_has_been_read(waiting):
    await waiting.post(HangupAsked(1, "root"), HangupAsked(2, "root"))
    await waiting.post(HangupAsked(3, "root"))
    assert waiting.nudges == [CALL]

    taken = await waiting.mailboxes.take(CALL, "token")
    await waiting.mailboxes.let_go(taken.session, "token", 3, 0)
    await waiting.post(HangupAsked(4, "root"))
    assert waiting.nudges == [CALL, CALL]


async def test_an_event_never_puts_a_look_off(waiting):
    waiting.client.zadd(ATTEND, {CALL: 5})
    await waiting.post(HangupAsked(1, "root"))

    assert due_ms(waiting) == 5


async def test_a_call_whose_nudge_was_lost_is_due_a_second_later(office):
    await office.post(entered())

    ((call, in_ms),) = (await office.mailboxes.due(1_001)).calls
    assert call == CALL
    assert 0 < in_ms <= 1_000
    assert (await office.mailboxes.due(-2)).calls == ()


async def test_calls_that_are_taken_along_with_each_other_are_all_taken(office):
    calls = [CALL, "demo:2.1", "demo:3.1"]
    for call in calls:
        await office.mailboxes.post([(call, entered())])
    taken = await asyncio.gather(
        *(office.mailboxes.take(call, "token", True) for call in (*calls, CALL, "demo:4.1"))
    )

    # A lock that the token has is taken once more; of the last call nothing is known.
    assert [bool(each) for each in taken] == [True, True, True, True, False]


async def test_a_call_in_a_turn_is_due_when_its_lock_lapses(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    until_ms = int(office.client.hget(HASH, "until"))

    assert due_ms(office) == until_ms
    due = await office.mailboxes.due(LOCK_MS)
    assert due.calls == ((CALL, until_ms - due.now_ms),)


async def test_whoever_looks_for_what_is_due_is_told_how_many_calls_live(office):
    assert (await office.mailboxes.due(0)).live == 0
    await office.post(entered())

    assert (await office.mailboxes.due(0)).live == 1


async def test_what_is_looked_at_as_often_is_read_along(office):
    office.client.set("ringmaster:mark", "this one")
    office.client.rpush("ringmaster:other", "a newer version's")
    await office.post(entered())
    keys = ("ringmaster:none", "ringmaster:other", "ringmaster:mark")
    due = await office.mailboxes.due(LOCK_MS, read=keys)

    assert due.read == (None, None, b"this one")
    assert [call for call, _ in due.calls] == [CALL]


async def test_the_longest_due_come_first_and_no_more_than_asked_for(office):
    now_ms = redis_ms(office)
    for call, since_ms in {"n:3": 3, "n:1": 9, "n:2": 6, "n:9": -9_000}.items():
        office.client.zadd(ATTEND, {call: now_ms - since_ms})

    assert [call for call, _ in (await office.mailboxes.due(0)).calls] == ["n:1", "n:2", "n:3"]
    assert [call for call, _ in (await office.mailboxes.due(0, most=2)).calls] == ["n:1", "n:2"]


async def test_a_released_call_is_due_when_its_session_says_by_the_clock_of_redis(office):
    """The session counts by its node's clock, which may be days off."""
    before_ms = redis_ms(office)
    await office.begin()
    await office.attend()

    wake_in_ms = office.session.wake_ms - office.world.now_ms
    assert wake_in_ms <= due_ms(office) - before_ms < wake_in_ms + 10_000
    assert office.client.hkeys(HASH) == [b"session"]


async def test_a_mailbox_is_not_let_go_while_something_is_in_it(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    await office.post(HangupAsked(5, "root"))
    session = begin(CALL, entered())
    left = await office.mailboxes.let_go(session, "token", 1, 0)

    assert left == (HangupAsked(5, "root"),)
    assert office.client.hget(HASH, "token") == b"token"
    assert await office.mailboxes.let_go(session, "token", 1, 0) == ()
    assert not office.client.hexists(HASH, "token")


async def test_what_came_meanwhile_can_be_looked_at_and_stays(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    await office.post(HangupAsked(5, "root"))
    for _ in range(2):
        assert await office.mailboxes.came(CALL, "token", 1) == (HangupAsked(5, "root"),)
    assert await office.mailboxes.came(CALL, "token", 2) == ()

    session = begin(CALL, entered())
    assert await office.mailboxes.save(session, "token", 2) == ()


async def test_what_came_is_for_the_holder_of_the_lock_alone(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    assert await office.mailboxes.came(CALL, "another", 0) == ()
    office.client.delete(HASH)
    assert await office.mailboxes.came(CALL, "token", 0) == (), "Redis has lost the call"


async def test_what_came_and_cannot_be_read_goes_aside_and_is_counted_no_more(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    office.client.rpush(MAIL, b"{nonsense")
    await office.post(HangupAsked(5, "root"))

    assert await office.mailboxes.came(CALL, "token", 1) == (HangupAsked(5, "root"),)
    assert office.client.llen(MAIL) == 2
    assert office.client.xlen("ringmaster:rejected") == 1


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


async def test_a_holder_drops_what_it_took_in_though_another_saved_as_often_before(office):
    """Saves are told apart by holder too: one that is taken for a repetition drops no event."""
    await office.post(entered())
    await office.mailboxes.take(CALL, "token")
    session = begin(CALL, entered())
    await Mailboxes(office.mailboxes._redis).save(session, "token", 0)
    office.expire_lock()
    await office.mailboxes.take(CALL, "another")

    assert await Mailboxes(office.mailboxes._redis).save(session, "another", 1) == ()
    assert office.mail == 0


# --- The clock of Redis goes back ---------------------------------------------------------------


async def test_a_dead_workers_lock_lapses_although_the_clock_of_redis_went_back(office):
    await office.post(entered())
    await office.mailboxes.take(CALL, "dead")
    an_hour_ahead = redis_ms(office) + 3_600_000
    office.client.hset(HASH, "until", an_hour_ahead)
    office.client.zadd(ATTEND, {CALL: an_hour_ahead})

    assert await office.mailboxes.take(CALL, "token") is None
    assert int(office.client.hget(HASH, "until")) <= redis_ms(office) + LOCK_MS
    assert [call for call, _ in (await office.mailboxes.due(LOCK_MS)).calls] == [CALL]


async def test_what_is_due_stays_due_although_the_clock_of_redis_went_back(office):
    """The sweeper saw it an hour later than it is now: what was due then is due now."""
    await office.mailboxes.due(0)
    now_ms = redis_ms(office)
    office.client.set(CLOCK, now_ms + 3_600_000)
    office.client.zadd(ATTEND, {"n:1": now_ms + 3_600_000, "n:2": now_ms + 3_660_000})

    assert [call for call, _ in (await office.mailboxes.due(0)).calls] == ["n:1"]
    ((_, _), (call, in_ms)) = (await office.mailboxes.due(60_000)).calls
    assert call == "n:2"
    assert 50_000 < in_ms <= 60_000


async def test_a_clock_that_goes_forward_moves_nothing(office):
    now_ms = redis_ms(office)
    office.client.set(CLOCK, now_ms - 3_600_000)
    office.client.zadd(ATTEND, {"n:1": now_ms + 60_000})
    await office.mailboxes.due(0)

    assert office.client.zscore(ATTEND, "n:1") == now_ms + 60_000
    assert int(office.client.get(CLOCK)) >= now_ms


async def test_calls_that_are_put_off_are_left_alone_until_then_or_an_event(waiting):
    waiting.client.zadd(ATTEND, {CALL: 0})
    await waiting.mailboxes.postpone([CALL, "n:over"], 60_000)

    assert waiting.client.zcard(ATTEND) == 1
    assert due_ms(waiting) > redis_ms(waiting) + 50_000
    await waiting.post(HangupAsked(1, "root"))
    assert is_soon(waiting)


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
                _LosesNth(mailboxes, way, nth),
                office.gateway,
                office.directory,
                office.limits,
                lambda node: 0,
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


async def test_what_is_no_text_among_the_live_calls_keeps_nobody_from_the_others(waiting):
    """Only somebody with Redis' password can have put it there."""
    waiting.client.zadd(ATTEND, {b"\xff\xfe": 0, "no call id": 0})

    found = [call for call, _ in (await waiting.mailboxes.due(FAR)).calls]
    assert CALL in found
    assert await waiting.mailboxes.live(CALL.partition(":")[0]) == [CALL]
    assert await waiting.mailboxes.live_in_parts(CALL.partition(":")[0]) == [CALL]
