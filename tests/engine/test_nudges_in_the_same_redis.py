"""Where the broker is the calls' Redis, the script that posts the mail writes the nudge too."""

import json
from contextlib import suppress
from dataclasses import replace
from queue import Empty

import pytest
from celery import current_app
from kombu import Connection

from calls.engine.nudges import ATTEND, shared_queue
from calls.machine.events import ChannelRinging, HangupRequested
from calls.store.mailbox import Mailboxes, connect
from tests.machine.world import CALL, A, entered


@pytest.fixture
async def mailboxes(redis_url, clean_redis):
    client = connect(redis_url)
    found = Mailboxes(client, shared_queue())
    await found.load_scripts()
    yield found
    await client.aclose()


def consumed(redis_url):
    """What kombu makes of the messages in the queue: headers and bodies."""
    with Connection(redis_url, transport_options={"priority_steps": [0]}) as connection:
        queue = connection.SimpleQueue(current_app.conf.task_default_queue)
        found = []
        with suppress(Empty):
            while True:
                message = queue.get(block=False)
                message.ack()
                found.append((message.headers, message.decode()))
        queue.close()
    return found


async def test_kombu_reads_the_nudge_as_one_of_its_own(mailboxes, redis_url):
    assert await mailboxes.post([(CALL, entered())]) == [], "nobody is left to nudge"

    ((headers, body),) = consumed(redis_url)
    assert headers["task"] == ATTEND
    assert headers["lang"] == "py"
    assert body[0] == [[CALL]]


async def test_a_call_is_nudged_once_until_a_worker_has_been_there(mailboxes, redis_url):
    await mailboxes.post([(CALL, entered())])
    await mailboxes.post([(CALL, HangupRequested(A, 5))])

    assert len(consumed(redis_url)) == 1


async def test_an_event_that_asks_for_nothing_nudges_nobody(mailboxes, redis_url):
    await mailboxes.post([(CALL, entered())])
    consumed(redis_url)
    await mailboxes.post([(CALL, ChannelRinging(A, 5))])

    assert consumed(redis_url) == []


async def test_each_call_of_a_batch_has_a_nudge_of_its_own(mailboxes, redis_url):
    others = [f"lab:{number}.1" for number in range(3)]
    await mailboxes.post([(call, replace(entered(), channel_id="x")) for call in others])

    found = consumed(redis_url)
    assert sorted(body[0][0][0] for _, body in found) == others
    assert len({headers["id"] for headers, _ in found}) == 3


@pytest.mark.parametrize(
    "call", ['lab:"quoted"', "lab:back\\slash", "lab:ünï", "lab:a\nb", "lab:{x}"]
)
async def test_whatever_stands_in_a_channels_id_arrives_as_it_is(mailboxes, redis_url, call):
    await mailboxes.post([(call, entered())])

    ((_, body),) = consumed(redis_url)
    assert body[0] == [[call]]


def test_the_message_is_json_throughout():
    queue = shared_queue()
    message = json.loads(queue.message(CALL))

    assert json.loads(message["body"])[0] == [[CALL]]
    assert message["content-type"] == "application/json"


@pytest.mark.parametrize(
    "broker",
    ["amqp://user:password@127.0.0.1//", "redis://elsewhere:6379/0", "redis://127.0.0.1:1/0"],
)
def test_another_broker_has_no_queue_in_the_calls_redis(broker, settings):
    settings.CELERY_BROKER_URL = broker

    assert shared_queue() is None


def test_another_database_of_the_same_redis_is_another_broker(redis_url, settings):
    settings.CELERY_BROKER_URL = redis_url.removesuffix("/0") + "/1"

    assert shared_queue() is None
