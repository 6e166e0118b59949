"""A Redis that was emptied, or started again, is noticed by all who rest on its memory."""

import pytest
import redis

from calls.engine.keepsake import Keepsake
from calls.store.mailbox import Mailboxes, connect
from calls.store.mark import KEY, Mark
from cdr.stream import STREAM
from tests.lab.faulty_redis import FaultyRedis
from tests.lab.services import Redis


@pytest.fixture
async def client(redis_url, clean_redis):
    found = connect(redis_url)
    yield found
    await found.aclose()


async def away(*_):
    raise redis.ConnectionError("Connection refused")


def scripts(clean_redis):
    """How many of them have been run since the statistics were begun."""
    return clean_redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]


async def test_a_redis_that_goes_on_has_not_changed(client):
    mark = Mark(client)

    assert [await mark.has_changed() for _ in range(3)] == [False, False, False]


async def test_an_emptied_redis_is_noticed_once_by_each_of_its_watchers(client, clean_redis):
    watchers = [Mark(client) for _ in range(3)]
    for each in watchers:
        await each.has_changed()
    clean_redis.flushall()

    assert [await each.has_changed() for each in watchers] == [True, True, True]
    for each in watchers:
        each.attended()
    assert [await each.has_changed() for each in watchers] == [False, False, False]


async def test_a_mark_that_was_read_along_with_something_else_tells_the_same(client, clean_redis):
    mark = Mark(client)
    assert not await mark.shows_change(None)
    assert not await mark.shows_change(clean_redis.get(KEY))
    clean_redis.flushall()

    assert await mark.shows_change(clean_redis.get(KEY))
    # Of before the loss, and told to who comes late.
    assert await mark.shows_change(b"of another time")
    mark.attended()
    assert not await mark.shows_change(clean_redis.get(KEY))


async def test_a_change_is_told_until_it_has_been_attended_to(client, clean_redis):
    mark = Mark(client)
    await mark.has_changed()
    clean_redis.flushall()

    assert [await mark.has_changed() for _ in range(2)] == [True, True]
    mark.attended()
    assert not await mark.has_changed()


async def test_what_could_not_be_given_back_is_given_back_at_the_next_look(client, clean_redis):
    mark = Mark(client)
    await mark.has_changed()
    keepsake = Keepsake(lambda: 0.0)
    keepsake.finished("demo:1.1", b'{"a": "record"}')
    clean_redis.flushall()
    mailboxes = Mailboxes(client)
    await mailboxes.load_scripts()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mailboxes, "hand_over_again", away)
        assert await mark.has_changed()
        with pytest.raises(redis.ConnectionError):
            await keepsake.after_loss(mark, mailboxes)
    assert await mark.has_changed()
    await keepsake.after_loss(mark, mailboxes)
    assert clean_redis.xlen(STREAM) == 1
    assert not await mark.has_changed()


async def test_another_memory_in_its_place_is_noticed(client, clean_redis):
    mark = Mark(client)
    await mark.has_changed()
    clean_redis.set(KEY, "of another time")

    assert await mark.has_changed()


async def test_who_the_server_is_is_asked_once_on_each_connection(redis_url, clean_redis):
    async with FaultyRedis(redis_url) as way:
        client = connect(way.url)
        # Which loads the script.
        await Mark(client).has_changed()
        clean_redis.config_resetstat()
        mark = Mark(client)
        assert [await mark.has_changed() for _ in range(5)] == [False] * 5
        asked = scripts(clean_redis)
        await way.down()
        await way.up()

        assert [await mark.has_changed() for _ in range(5)] == [False] * 5
        assert (asked, scripts(clean_redis)) == (1, 2)
        await client.aclose()


@pytest.mark.usefixtures("redis_url")
async def test_a_redis_that_was_started_again_is_noticed():
    server = Redis().start()
    try:
        client = connect(server.url)
        mark = Mark(client)
        await mark.has_changed()
        server.kill()
        server.start()

        assert await mark.has_changed()
        await client.aclose()
    finally:
        server.stop()
