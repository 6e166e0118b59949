"""Where broker and calls share a Redis, the engine's loop takes the nudges from Celery's queue."""

import asyncio
from types import SimpleNamespace

import pytest
import redis.asyncio
from celery import current_app
from kombu import Connection, Producer

from calls.engine import intake
from calls.engine.intake import Intake, calls_in
from calls.engine.nudges import ATTEND, Publisher, shared_queue
from calls.engine.tap import Tap
from calls.engine.tasks import attend
from calls.store.mailbox import connect
from tests.lab.stack import Stack
from tests.lab.waiting import wait_for
from tests.machine.world import CALL

PATIENCE_S = 10
QUEUE = current_app.conf.task_default_queue


class Consumer:
    """As Celery's: remembers whether it consumes the queue."""

    def __init__(self):
        self.consumes = True
        self.call_soon = lambda what, queue: what(queue)

    def cancel_task_queue(self, queue):
        assert self.consumes
        self.consumes = False

    def add_task_queue(self, queue):
        assert not self.consumes
        self.consumes = True


class Taken(list):
    """In the runtime's place: has room as long as it is let."""

    def __init__(self):
        self.came = asyncio.Event()
        self.room = asyncio.Event()
        self.room.set()

    async def __call__(self, calls):
        self.extend(calls)
        self.came.set()
        await self.room.wait()

    async def wait_for(self, count):
        async with asyncio.timeout(PATIENCE_S):
            while len(self) < count:
                self.came.clear()
                await self.came.wait()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(intake, "WAIT_S", 0.2)


@pytest.fixture
async def worker(redis_url, clean_redis):
    """An intake that runs, its tap with Celery's consumer, and what it took."""
    found = SimpleNamespace(tap=Tap(), taken=Taken(), consumer=Consumer())
    found.tap.connect(found.consumer, QUEUE)
    found.client = connect(redis_url)
    found.intake = Intake(found.client, QUEUE, found.tap, found.taken)
    found.running = asyncio.create_task(found.intake.run())
    yield found
    found.taken.room.set()
    found.intake.end()
    async with asyncio.timeout(PATIENCE_S):
        await found.running
    await found.intake.close()


def publish(redis_url, *calls):
    """As any process does that nudges by Celery's means."""
    with Connection(redis_url, transport_options={"priority_steps": [0]}) as connection:
        for call in calls:
            Publisher(connection).publish([call])


def by_apply_async(redis_url, call):
    """As a program does that knows nothing but Celery."""
    with Connection(redis_url) as connection:
        attend.apply_async(([call],), connection=connection)


def by_the_posting_script(redis_url, call):
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(QUEUE, shared_queue().message(call))


@pytest.mark.parametrize("send", [publish, by_apply_async, by_the_posting_script])
async def test_a_nudge_is_taken_however_it_was_sent(worker, redis_url, send):
    await asyncio.to_thread(send, redis_url, CALL)
    await worker.taken.wait_for(1)

    assert worker.taken == [CALL]
    assert not worker.consumer.consumes, "or Celery would take every second one"


async def test_the_oldest_come_first(worker, redis_url, clean_redis):
    worker.taken.room.clear()
    calls = [f"demo:{number}" for number in range(1, 40)]
    await asyncio.to_thread(publish, redis_url, *calls)
    worker.taken.room.set()
    await worker.taken.wait_for(len(calls))

    assert worker.taken == calls
    assert clean_redis.llen(QUEUE) == 0


async def test_what_a_full_worker_has_no_room_for_stays_for_others(worker, redis_url, clean_redis):
    worker.taken.room.clear()
    await asyncio.to_thread(publish, redis_url, "demo:1")
    await worker.taken.wait_for(1)
    await asyncio.to_thread(publish, redis_url, "demo:2", "demo:3")

    assert clean_redis.llen(QUEUE) == 2


@pytest.mark.parametrize(("free", "takes"), [(100, 16), (3, 3), (0, 1)])
async def test_a_worker_takes_no_more_at_once_than_it_has_room_for(
    redis_url, clean_redis, free, takes
):
    """So that another, which has room, is not kept from the rest."""
    message = shared_queue().message
    clean_redis.lpush(QUEUE, *(message(f"demo:{number}") for number in range(40)))
    tap, taken = Tap(), Taken()
    tap.connect(Consumer(), QUEUE)
    taken.room.clear()
    found = Intake(connect(redis_url), QUEUE, tap, taken, lambda: free)
    running = asyncio.create_task(found.run())
    await taken.wait_for(1)
    assert clean_redis.llen(QUEUE) == 40 - takes

    found.end()
    taken.room.set()
    async with asyncio.timeout(PATIENCE_S):
        await running
    await found.close()


async def test_a_drained_worker_takes_none_and_puts_back_what_it_had_asked_for(
    worker, redis_url, clean_redis
):
    await asyncio.to_thread(publish, redis_url, CALL)
    await worker.taken.wait_for(1)
    # It waits in Redis now, for whatever comes next.
    worker.tap.turn(shut=True)
    await asyncio.to_thread(publish, redis_url, "demo:2", "demo:3")
    another = connect(redis_url)
    got = Taken()
    second = Tap()
    second.connect(Consumer(), QUEUE)
    other = Intake(another, QUEUE, second, got)
    running = asyncio.create_task(other.run())
    await got.wait_for(2)
    other.end()
    await running
    await other.close()

    assert worker.taken == [CALL]
    assert sorted(got) == ["demo:2", "demo:3"]
    assert not worker.consumer.consumes, "Celery's consumer must not take them either"

    worker.tap.turn(shut=False)
    await asyncio.to_thread(publish, redis_url, "demo:4")
    await worker.taken.wait_for(2)
    assert worker.taken == [CALL, "demo:4"]


async def test_a_worker_that_ends_puts_back_what_it_had_asked_for(worker, redis_url, clean_redis):
    await asyncio.to_thread(publish, redis_url, CALL)
    await worker.taken.wait_for(1)
    worker.intake.end()
    await asyncio.to_thread(publish, redis_url, "demo:2")
    async with asyncio.timeout(PATIENCE_S):
        await worker.running

    assert worker.taken == [CALL]
    assert clean_redis.llen(QUEUE) == 1


@pytest.mark.parametrize("how", ["it ends", "it is drained"])
async def test_what_was_taken_along_goes_back_when_the_worker_waits_for_room(
    worker, clean_redis, how
):
    worker.taken.room.clear()
    message = shared_queue().message
    clean_redis.lpush(QUEUE, *(message(f"demo:{number}") for number in (1, 2, 3)))
    await worker.taken.wait_for(1)
    if how == "it ends":
        worker.intake.end()
    else:
        worker.tap.turn(shut=True)
    worker.taken.room.set()
    await asyncio.to_thread(
        wait_for,
        lambda: clean_redis.llen(QUEUE) == 2 or len(worker.taken) > 1,
        timeout_s=PATIENCE_S,
        failure=lambda: "nothing came back",
    )

    assert worker.taken == ["demo:1"]
    assert [calls_in(each) for each in clean_redis.lrange(QUEUE, 0, -1)] == [["demo:3"], ["demo:2"]]


async def test_a_redis_that_cannot_wait_for_many_leaves_the_queue_to_celerys_consumer(
    redis_url, clean_redis, monkeypatch, caplog
):
    async def old(self, *args, **options):
        raise redis.ResponseError("unknown command 'BLMPOP'")

    client = connect(redis_url)
    monkeypatch.setattr(type(client), "execute_command", old)
    tap, consumer = Tap(), Consumer()
    tap.connect(consumer, QUEUE)
    await Intake(client, QUEUE, tap, Taken()).run()

    assert consumer.consumes
    assert "cannot wait for nudges" in caplog.text


async def test_a_redis_that_is_away_is_said_and_asked_again(worker, redis_url, monkeypatch, caplog):
    real = type(worker.client).execute_command
    failures = [redis.ConnectionError("gone"), redis.ResponseError("READONLY no")]

    async def failing(self, *args, **options):
        if failures:
            raise failures.pop()
        return await real(self, *args, **options)

    monkeypatch.setattr(type(worker.client), "execute_command", failing)
    # The first answers what is under way.
    await asyncio.to_thread(publish, redis_url, CALL)
    await worker.taken.wait_for(1)
    await asyncio.to_thread(publish, redis_url, "demo:2")
    await worker.taken.wait_for(2)

    assert not failures
    assert "gives no nudges: gone" in caplog.text
    assert not worker.consumer.consumes


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b'{"body": 7, "headers": {}, "properties": {}}',
        b'{"body":"[[[\\"demo:1\\"]],{},{}]","headers":{"task":"other"},"properties":{}}',
        b'{"body":"[[7],{},{}]","headers":{"task":"calls.attend"},"properties":{}}',
        b'{"body":"[]","headers":{"task":"calls.attend"},"properties":{}}',
    ],
)
def test_a_message_that_is_no_nudge_names_no_call(message):
    assert calls_in(message) == []


def test_a_worker_started_as_celery_says_hears_who_sends_by_celery_and_ends_when_told(
    redis_url, clean_redis, tmp_path
):
    settings = {"DATABASE_URL": "sqlite://:memory:", "REDIS_URL": redis_url}
    settings["ARI_NODES"] = f"{CALL.partition(':')[0]}=http://ringmaster:password@127.0.0.1:9"
    with Stack(tmp_path, settings, only=["calls"]) as stack:
        stack.wait_ready()
        # A mailbox without a call is emptied by the worker that is told of it.
        clean_redis.rpush(f"ringmaster:mail:{CALL}", '["doubted",1]')
        with current_app.connection_for_write(redis_url) as connection:
            Producer(connection, serializer="json").publish(
                ([[CALL]], {}, {}),
                routing_key=QUEUE,
                headers={"lang": "py", "task": ATTEND, "id": "1"},
            )
        wait_for(
            lambda: not clean_redis.exists(f"ringmaster:mail:{CALL}"),
            timeout_s=PATIENCE_S,
            failure=lambda: stack.log("calls")[-3000:],
        )
        assert f"Canceling queue {QUEUE}" in stack.log("calls"), "the loop did not take it"
