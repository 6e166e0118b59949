"""Any number of listeners for a node: one has the lease and listens, the others stand by."""

import asyncio
import contextlib
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
import redis

from ari_bridge import listener as listener_module
from ari_bridge import quiet
from ari_bridge.lease import LAPSE_S, Lease, lease_key
from ari_bridge.listener import Listener
from calls.machine.events import CallEntered
from calls.store.mailbox import connect
from calls.store.mark import Mark
from tests.ari_bridge.conftest import MarkStub, PosterStub, said
from tests.lab.faulty_redis import FaultyRedis
from tests.metrics.readings import Readings

APP = "ringmaster"
FILTER = f"PUT /applications/{APP}/eventFilter"
KEY = lease_key("double")


class Clock:
    """A monotonic clock of a watcher's own."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
async def client(redis_url, clean_redis):
    found = connect(redis_url)
    yield found
    await found.aclose()


# --- The lease ---


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def held(client):
    lease = Lease(client, "double")
    assert await lease.take()
    return lease


@pytest.fixture
def watcher(client, clock):
    return Lease(client, "double", clock)


async def test_a_lease_that_is_renewed_is_not_taken(held, watcher, clock):
    for _ in range(20):
        assert not await watcher.take()
        clock.now += LAPSE_S
        assert await held.renew()


async def test_what_is_read_along_with_a_renewal_is_told_to_who_holds_it_no_more_too(
    held, watcher, clock, clean_redis
):
    clean_redis.set("ringmaster:mark", "this one")
    assert await held.renew_and_read("ringmaster:mark") == (True, b"this one")
    assert await held.renew_and_read("ringmaster:none") == (True, None)
    clean_redis.rpush("ringmaster:other", "a newer version's")
    assert await held.renew_and_read("ringmaster:other") == (True, None)
    assert not await watcher.take()
    clock.now += LAPSE_S
    assert await watcher.take()

    assert await held.renew_and_read("ringmaster:mark") == (False, b"this one")


async def test_a_lease_that_has_not_moved_for_a_while_is_taken_and_its_holder_learns_it(
    held, watcher, clock
):
    assert not await watcher.take()
    clock.now += LAPSE_S - 0.001
    assert not await watcher.take()
    clock.now += 0.002
    assert await watcher.take()

    assert not await held.renew()
    assert await held.is_held_elsewhere()
    assert not await watcher.is_held_elsewhere()


async def test_of_two_that_see_it_lapse_one_takes_it(held, client, clock):
    both = [Lease(client, "double", clock) for _ in range(2)]
    assert not any([await each.take() for each in both])
    clock.now += LAPSE_S

    assert sorted([await each.take() for each in both]) == [False, True]


async def test_an_offered_lease_is_taken_at_once(held, watcher):
    assert not await watcher.take()
    assert await held.offer()
    assert not await held.is_held_elsewhere()
    assert await watcher.take()
    assert await held.is_held_elsewhere()


async def test_a_lease_that_redis_forgot_stays_with_its_holder(held, watcher, clean_redis):
    assert not await watcher.take()
    clean_redis.delete(KEY)
    assert await held.renew()
    assert not await watcher.take()


async def test_a_renewal_whose_reply_is_lost_is_still_ours(redis_url, clean_redis):
    async with FaultyRedis(redis_url) as way:
        client = redis.asyncio.Redis.from_url(way.url, retry=None)
        lease = Lease(client, "double")
        await lease.take()
        way.lose_next_reply()
        with contextlib.suppress(redis.RedisError):
            await lease.renew()

        assert way.lost == 1
        assert await lease.renew()
        await client.aclose()


async def test_after_an_outage_of_redis_the_holder_has_time_to_renew(
    redis_url, clean_redis, held, clock
):
    async with FaultyRedis(redis_url) as way:
        client = redis.asyncio.Redis.from_url(way.url, retry=None)
        watcher = Lease(client, "double", clock)
        assert not await watcher.take()
        await way.down()
        clock.now += 10
        with pytest.raises(redis.RedisError):
            await watcher.take()
        await way.up()

        assert not await watcher.take()
        await client.aclose()


# --- Listeners ---


class ReconcilerStub:
    async def run(self, node, ari, heard):
        """Finds all as it should be."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(quiet, "time", SimpleNamespace(monotonic=lambda: 1000.0))


async def hangs(*_):
    await asyncio.Event().wait()


class Running:
    """A listener at work, with a poster of its own."""

    def __init__(self, double, client, mark=None):
        self.double = double
        self.poster = PosterStub()
        lease, mark = Lease(client, "double"), mark or Mark(client)
        self.listener = Listener(double.node, APP, self.poster, ReconcilerStub(), lease, mark)
        self.task = asyncio.create_task(self.listener.run())

    async def ended(self):
        await asyncio.wait_for(self.task, 10)

    def kill(self):
        """Cut off at once: it says nothing any more, to nobody."""
        self.task.cancel()


@pytest.fixture
async def listeners(double, client):
    """Begins listeners, and ends them."""
    begun = []

    def begin():
        begun.append(Running(double, client))
        return begun[-1]

    yield begin
    for each in begun:
        each.task.cancel()
    await asyncio.gather(*(each.task for each in begun), return_exceptions=True)


async def connected(double, times=1):
    await double.wait_for(lambda: double.requests.count(FILTER) == times)


async def looks(monkeypatch):
    """Wait until whoever stands by has looked a few times."""
    seen = asyncio.Semaphore(0)
    take = Lease.take

    async def counted(lease):
        taken = await take(lease)
        seen.release()
        return taken

    monkeypatch.setattr(Lease, "take", counted)
    for _ in range(4):
        await asyncio.wait_for(seen.acquire(), 10)


async def test_a_second_listener_stands_by(double, listeners, monkeypatch):
    first = listeners()
    await connected(double)
    listeners()
    await looks(monkeypatch)
    double.enter("1.2")
    await first.poster.wait_for(1)

    assert double.connections == 1


async def test_one_that_is_told_to_end_goes_on_until_the_other_is_connected(
    double, listeners, monkeypatch, caplog
):
    first = listeners()
    await connected(double)
    second = listeners()
    await looks(monkeypatch)
    first.listener.end()
    await first.ended()

    assert double.connections == 2
    assert double.apps[APP].socket is not None
    assert "Another listener took over the application ringmaster on node double" in caplog.text
    double.enter("1.2")
    ((_, event),) = await second.poster.wait_for(1)
    assert isinstance(event, CallEntered)
    assert first.poster.posted == []


async def test_one_that_is_told_to_end_with_nobody_there_ends(double, listeners, clean_redis):
    only = listeners()
    await connected(double)
    only.listener.end()
    await only.ended()

    assert clean_redis.get(KEY).startswith(b"free ")


async def test_one_that_stands_by_ends_when_told(double, listeners, monkeypatch):
    listeners()
    await connected(double)
    second = listeners()
    await looks(monkeypatch)
    second.listener.end()
    await second.ended()

    assert double.connections == 1


async def test_when_one_dies_another_takes_over(double, listeners):
    first = listeners()
    await connected(double)
    second = listeners()
    first.kill()
    await connected(double, times=2)
    double.enter("1.2")
    await second.poster.wait_for(1)


async def test_one_that_was_frozen_stands_by_when_it_wakes(double, listeners, monkeypatch):
    first = listeners()
    await connected(double)
    # As seen from the others, it has stopped.
    monkeypatch.setattr(first.listener._lease, "renew_and_read", hangs)
    second = listeners()
    await connected(double, times=2)
    double.enter("1.2")
    await second.poster.wait_for(1)

    assert double.connections == 2
    assert first.poster.posted == []
    assert not first.task.done()


async def test_one_that_takes_over_as_redis_was_emptied_says_so(
    double, listeners, clean_redis, monkeypatch, caplog
):
    first = listeners()
    await connected(double)
    listeners()
    await looks(monkeypatch)
    readings = Readings()
    # Whoever stands by looks more often than the holder renews.
    monkeypatch.setattr(first.listener._lease, "renew_and_read", hangs)
    clean_redis.flushdb()
    await connected(double, times=2)
    await said(caplog, "Redis (REDIS_URL) has lost data or was started again; node double")

    assert readings.grown("ringmaster_redis_losses_total") == 1


async def test_one_that_takes_over_long_after_redis_was_emptied_says_nothing_of_it(
    double, listeners, clean_redis, monkeypatch, caplog
):
    first = listeners()
    await connected(double)
    second = listeners()
    await looks(monkeypatch)
    monkeypatch.setattr(second.listener._lease, "take", AsyncMock(return_value=False))
    readings = Readings()
    clean_redis.flushdb()
    await said(caplog, "Redis (REDIS_URL) has lost data or was started again; node double")
    monkeypatch.undo()
    await looks(monkeypatch)
    first.kill()
    await connected(double, times=2)
    double.enter("1.2")
    await second.poster.wait_for(1)

    assert readings.grown("ringmaster_redis_losses_total") == 1


async def test_while_redis_is_away_who_listens_goes_on(double, redis_url, clean_redis, caplog):
    async with FaultyRedis(redis_url) as way:
        client = redis.asyncio.Redis.from_url(way.url, retry=None)
        running = Running(double, client, MarkStub())
        await connected(double)
        await way.down()
        await said(caplog, "keeps no lease of node double")
        double.enter("1.2")
        await running.poster.wait_for(1)
        await way.up()

        assert double.connections == 1
        running.kill()
        await asyncio.gather(running.task, return_exceptions=True)
        await client.aclose()


async def test_a_program_without_a_lease_that_takes_over_is_said_and_not_fought(
    double, listeners, client, caplog, monkeypatch
):
    only = listeners()
    await connected(double)
    stranger = Listener(
        double.node, APP, PosterStub(), ReconcilerStub(), Lease(client, "other"), MarkStub()
    )
    strange = asyncio.create_task(stranger.run())
    await said(caplog, "A program that does not share our Redis (REDIS_URL) took over")

    assert double.connections == 2
    assert not only.task.done()
    only.listener.end()
    await only.ended()
    strange.cancel()


async def test_one_that_cannot_reach_the_node_lets_another_try(
    double, listeners, client, monkeypatch
):
    monkeypatch.setattr(listener_module, "FIRST_WAIT_S", 3600)
    monkeypatch.setattr(listener_module, "LONGEST_WAIT_S", 3600)
    double.fail("GET", "/events", 503, times=1)
    listeners()
    await double.wait_for(lambda: "GET /events" in double.requests)
    second = listeners()
    await connected(double)
    double.enter("1.2")
    await second.poster.wait_for(1)
