"""The hot path's Redis client gives and raises what redis-py gives and raises."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis
import uvloop
from redis import exceptions
from redis.asyncio import Redis

from calls.store.lean import RETRIES, LeanRedis, patient
from tests.lab.faulty_redis import FaultyRedis
from tests.lab.ports import LOOPBACK

CLIENTS = (Redis, LeanRedis)


@asynccontextmanager
async def client_at(kind: type[Redis], url: str, **options: float) -> AsyncIterator[Redis]:
    client = kind.from_url(url, protocol=2, **{"socket_timeout": 2, **options})
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.__name__)
async def client(
    request: pytest.FixtureRequest, redis_url: str, clean_redis: "redis.Redis"
) -> AsyncIterator[Redis]:
    async with client_at(request.param, redis_url) as found:
        yield found


async def test_replies_come_as_redis_py_gives_them(client):
    assert await client.set("text", b"\x00\xff") is True
    assert await client.get("text") == b"\x00\xff"
    assert await client.get("absent") is None
    assert await client.zadd("set", {"a": 1.5, "b": 2}) == 2
    assert await client.zrangebyscore("set", "-inf", 9, withscores=True) == [(b"a", 1.5), (b"b", 2)]
    assert await client.hset("hash", mapping={"x": 1}) == 1
    assert await client.hgetall("hash") == {b"x": b"1"}


async def test_a_script_runs_by_its_hash_and_is_loaded_where_it_is_not_known(client, clean_redis):
    script = client.register_script("return {KEYS[1], ARGV[1], 7, false}")
    clean_redis.script_flush()

    assert await script(keys=["key"], args=["arg"]) == [b"key", b"arg", 7, None]


@pytest.mark.parametrize(
    ("lua", "kind"),
    [
        ("return redis.error_reply('OOM command not allowed')", exceptions.OutOfMemoryError),
        ("return redis.error_reply('READONLY no writes here')", exceptions.ReadOnlyError),
        ("return redis.error_reply('ERR something')", exceptions.ResponseError),
        ("return redis.call('NONSENSE')", exceptions.ResponseError),
        ("return redis.call('GET', 'a', 'b')", exceptions.ResponseError),
    ],
)
async def test_what_the_server_refuses_is_raised_as_redis_pys_error(client, lua, kind):
    with pytest.raises(kind):
        await client.eval(lua, 0)
    assert await client.ping() is True, "the connection goes on"


async def test_an_unknown_script_is_no_script_error(client):
    with pytest.raises(exceptions.NoScriptError):
        await client.evalsha("0" * 40, 0)


@pytest.mark.parametrize("kind", CLIENTS)
async def test_the_database_of_the_url_is_the_one_that_is_used(kind, redis_url, clean_redis):
    async with client_at(kind, redis_url.removesuffix("/0") + "/3") as client:
        await client.set("ringmaster:elsewhere", 1)
        assert clean_redis.get("ringmaster:elsewhere") is None
        await client.delete("ringmaster:elsewhere")


@pytest.mark.parametrize("kind", CLIENTS)
async def test_it_signs_in_as_the_urls_user_and_a_wrong_password_is_said(
    kind, redis_url, clean_redis
):
    clean_redis.acl_setuser(
        "worker", enabled=True, passwords=["+right"], keys=["*"], categories=["+@all"]
    )
    address = redis_url.removeprefix("redis://")
    try:
        async with client_at(kind, f"redis://worker:right@{address}") as client:
            assert await client.execute_command("ACL WHOAMI") == "worker"
        async with client_at(kind, f"redis://worker:wrong@{address}") as client:
            with pytest.raises(exceptions.AuthenticationError):
                await client.ping()
    finally:
        clean_redis.acl_deluser("worker")


async def test_many_that_ask_at_once_get_their_own_replies(redis_url, clean_redis):
    async with client_at(LeanRedis, redis_url) as client:
        replies = await asyncio.gather(*(client.echo(f"{number}") for number in range(500)))

    assert replies == [f"{number}".encode() for number in range(500)]


async def test_one_that_gave_up_does_not_take_the_next_ones_reply(redis_url, clean_redis):
    async with client_at(LeanRedis, redis_url) as client:
        await client.ping()
        given_up = asyncio.ensure_future(client.echo("first"))
        await asyncio.sleep(0)
        given_up.cancel()

        assert await client.echo("second") == b"second"


NEVER_S = 3600.0


async def test_a_patient_script_goes_out_with_the_next_command_before_it(redis_url, clean_redis):
    async with client_at(LeanRedis, redis_url) as client:
        await client.ping()
        script = patient(client.register_script("return redis.call('INCR', KEYS[1])"), NEVER_S)
        await client.script_load(script.script)
        waiting = [asyncio.ensure_future(script(keys=["count"])) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in waiting)

        assert await client.incr("count") == 4
        assert await asyncio.gather(*waiting) == [1, 2, 3]


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("patience_s", [0.0001, 0.01])
def test_a_patient_script_is_sent_though_nothing_else_is(redis_url, clean_redis, loop, patience_s):
    async def alone():
        async with client_at(LeanRedis, redis_url) as client:
            script = patient(client.register_script("return redis.call('INCR', KEYS[1])"), 60)
            hasty = patient(
                client.register_script("return redis.call('INCR', KEYS[1])"), patience_s
            )
            first = asyncio.ensure_future(script(keys=["count"]))
            await client.ping()
            again = asyncio.ensure_future(script(keys=["count"]))
            async with asyncio.timeout(10):
                # The shortest patience counts for all that wait.
                return [await hasty(keys=["count"]), await first, await again]

    assert sorted(loop(alone())) == [1, 2, 3]


async def test_what_waits_to_be_sent_when_the_connection_breaks_is_sent_on_the_next(
    redis_url, clean_redis
):
    async with FaultyRedis(redis_url) as way, client_at(LeanRedis, way.url) as client:
        await client.ping()
        script = patient(client.register_script("return redis.call('INCR', KEYS[1])"), NEVER_S)
        waiting = asyncio.ensure_future(script(keys=["count"]))
        await asyncio.sleep(0)
        await way.down()
        await way.up()
        while client.connections_made < 2:
            await client.ping()
        await client.ping()

        async with asyncio.timeout(10):
            while not waiting.done():
                await client.ping()
        assert waiting.result() == 1


async def test_what_waits_to_be_sent_when_the_client_is_closed_is_told_so(redis_url, clean_redis):
    async with client_at(LeanRedis, redis_url) as client:
        await client.ping()
        waiting = asyncio.ensure_future(client._connection.ask(b"*1\r\n$4\r\nPING\r\n", NEVER_S))
        await asyncio.sleep(0)

    with pytest.raises(exceptions.ConnectionError, match="closed"):
        await waiting


async def test_commands_that_go_together_are_answered_in_their_order(redis_url, clean_redis):
    async with client_at(LeanRedis, redis_url) as client:
        assert await client.together(("INCR", "count"), ("ECHO", "x"), ("INCR", "count")) == [
            1,
            b"x",
            2,
        ]


async def test_the_first_error_of_commands_that_go_together_is_raised(redis_url, clean_redis):
    async with client_at(LeanRedis, redis_url) as client:
        with pytest.raises(exceptions.NoScriptError):
            await client.together(("INCR", "count"), ("EVALSHA", "0" * 40, 0), ("GET", "a", "b"))

        assert await client.get("count") == b"1"


async def test_commands_that_go_together_are_all_sent_again_where_a_reply_is_lost(
    redis_url, clean_redis
):
    async with FaultyRedis(redis_url) as way, client_at(LeanRedis, way.url) as client:
        await client.ping()
        way.lose_next_reply()

        assert await client.together(("INCR", "count"), ("INCR", "count")) == [3, 4]


async def test_of_commands_that_go_together_only_those_without_a_reply_are_sent_again():
    """The first reply of two arrives, and the connection breaks."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.write(b"+first\r\n" if len(heard) == 1 else b"+second\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with client_at(LeanRedis, f"redis://{LOOPBACK}:{port}/0") as client:
        assert await client.together(("ECHO", "first"), ("ECHO", "second")) == [b"first", b"second"]
    server.close()

    assert [data.count(b"ECHO") for data in heard] == [2, 1]
    assert b"second" in heard[1]


async def test_commands_that_go_together_and_are_given_up_say_nothing_later(caplog):
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    async with client_at(LeanRedis, f"redis://{LOOPBACK}:{port}/0") as client:
        asking = asyncio.ensure_future(client.together(("PING",), ("PING",)))
        await asked.wait()
        asking.cancel()
        await asyncio.wait([asking])
    server.close()
    gc.collect()

    assert "never retrieved" not in caplog.text


async def test_redis_pys_own_script_knows_no_patience_and_is_called_at_once(redis_url, clean_redis):
    async with client_at(Redis, redis_url) as client:
        script = patient(client.register_script("return 7"), NEVER_S)

        assert await script() == 7


async def test_a_command_whose_reply_is_lost_is_sent_again(redis_url, clean_redis):
    async with FaultyRedis(redis_url) as way, client_at(LeanRedis, way.url) as client:
        await client.ping()
        way.lose_next_reply()

        assert await client.incr("count") == 2, "done twice, as everything here may be"
        assert way.lost == 1


async def test_an_outage_is_a_connection_error_and_passes(redis_url, clean_redis):
    async with FaultyRedis(redis_url) as way, client_at(LeanRedis, way.url) as client:
        await client.ping()
        await way.down()
        with pytest.raises(exceptions.ConnectionError):
            await client.ping()
        await way.up()

        assert await client.ping() is True


async def test_a_server_that_stays_silent_is_given_up_after_the_time_out():
    taken = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)
        await reader.read()

    async with await asyncio.start_server(silent, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client_at(
            LeanRedis, f"redis://{LOOPBACK}:{port}/0", socket_timeout=0.05
        ) as client:
            with pytest.raises(exceptions.TimeoutError):
                await client.ping()

    assert len(taken) == RETRIES + 1, "each try on a connection of its own"


async def test_a_caller_whose_patience_ends_leaves_the_connection_to_the_others(
    redis_url, clean_redis
):
    async with client_at(LeanRedis, redis_url) as client:
        impatient = asyncio.ensure_future(client.ping())
        patient = asyncio.ensure_future(client.ping())
        await asyncio.sleep(0)
        impatient.cancel()

        assert await patient is True


async def test_what_is_not_redis_is_said():
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with await asyncio.start_server(web, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with client_at(LeanRedis, f"redis://{LOOPBACK}:{port}/0") as client:
            with pytest.raises(exceptions.ConnectionError, match="protocol"):
                await client.ping()
