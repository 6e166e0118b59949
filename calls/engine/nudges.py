"""Nudging workers by Celery messages.

Where the broker is the Redis that holds the calls, the script that posts a call's mail also puts
the nudge into the workers' queue (`shared_queue`): one step that no process can lose half of.

With any other broker the nudger publishes. That blocks, and a broker may hang, so a thread of its
own does it and the event loop that reads Asterisk's WebSocket never waits. While one message is
under way further calls gather for the next, so the busier it gets the less a nudge costs.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from celery import current_app
from django.conf import settings
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps

from calls import metrics
from calls.store.mailbox import NudgeQueue
from calls.vital import vital_thread

ATTEND = "calls.attend"
"""The task of calls/engine/tasks.py. Only its name is needed here: the task itself would bring the
whole engine into the ARI bridge."""
MOST_CALLS = 64
"""Calls named in one message."""
_ANY_CALL = "any-call-of-this-message"
_ANY_ID = "any-id-of-this-message"
PAUSE_S = 1.0
"""How long nudging rests after the broker failed. The sweeper finds the calls meanwhile."""

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes nudges over one kept connection. Belongs to one thread."""

    def __init__(self, connection: Connection | None = None) -> None:
        self._queue = current_app.conf.task_default_queue
        self._connection = connection or current_app.connection_for_write()
        self._producer = Producer(self._connection, serializer="json")

    def publish(self, calls: list[str]) -> None:
        """Publish one nudge; raises kombu's OperationalError when the broker does not take it.

        The message is Celery's protocol 2, written out instead of by `apply_async`, which takes
        twice as long over options that a nudge does not have.
        """
        task_id = str(uuid4())
        self._producer.publish(
            ([calls], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}),
            routing_key=self._queue,
            headers={
                "lang": "py",
                "task": ATTEND,
                "id": task_id,
                "root_id": task_id,
                "parent_id": None,
                "group": None,
                "ignore_result": True,
            },
            correlation_id=task_id,
            delivery_mode=1,
            retry=True,
            retry_policy={"max_retries": 1, "interval_start": 0},
        )

    def close(self) -> None:
        """Give the connection up."""
        self._connection.release()


class Nudger:
    """Publishes nudges from a thread of its own."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._changed = threading.Condition()
        self._closing = False
        self._thread = vital_thread("The nudger", self._run, "nudger")

    def start(self) -> None:
        self._thread.start()

    def nudge(self, calls: Iterable[str]) -> None:
        """Let a worker attend to these calls; returns at once."""
        with self._changed:
            self._waiting.extend(calls)
            self._changed.notify()

    def close(self) -> None:
        """Publish what waits, for two seconds at most."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        publisher = Publisher()
        try:
            self._publish_until_closed(publisher)
        finally:
            publisher.close()

    def _publish_until_closed(self, publisher: Publisher) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                batch, self._waiting = self._waiting[:MOST_CALLS], self._waiting[MOST_CALLS:]
            if not batch:
                return
            try:
                publisher.publish(batch)
            except (OperationalError, OSError) as error:
                logger.error(
                    "The broker (CELERY_BROKER_URL) takes no nudges: %s. Calls go on, up to a "
                    "second later at each step.",
                    error,
                )
                self._rest()
            except Exception:
                # The thread must outlive a fault that nobody foresaw: it nudges for all calls.
                logger.exception("A nudge failed. Calls go on, up to a second later at each step.")
                self._rest()

    def _rest(self) -> None:
        metrics.NUDGES_FAILED.inc()
        with self._changed:
            self._waiting.clear()
        time.sleep(PAUSE_S)


def shared_queue() -> NudgeQueue | None:
    """The workers' queue, if the broker keeps it in the Redis and database that hold the calls.

    The message is made once, by kombu itself, for a call of a made-up name that is then replaced:
    so its format is kombu's, whatever that becomes.
    """
    queue = shared_queue_name()
    if queue is None:
        return None
    with Connection("memory://") as connection:
        Publisher(connection).publish([_ANY_CALL])
        channel: Any = connection.default_channel
        raw: dict[str, Any] = channel._get(queue)
        body = channel.decode_body(raw["body"], raw["properties"]["body_encoding"]).decode()
    # Without an encoding kombu takes the body as it stands, and nobody has to write base64.
    del raw["properties"]["body_encoding"]
    text = dumps({**raw, "body": body}).replace(raw["headers"]["id"], _ANY_ID)
    text = text.replace(raw["properties"]["delivery_tag"], _ANY_ID)

    # Unlike any other of this process, and this process's unlike any other's.
    numbers, process = count(1), uuid4().hex

    def message(call: str) -> bytes:
        # The call's name stands in a JSON text that stands in a JSON text.
        name = json.dumps(json.dumps(call)[1:-1])[1:-1]
        return text.replace(_ANY_CALL, name).replace(_ANY_ID, f"{process}-{next(numbers)}").encode()

    return NudgeQueue(queue, message)


def shared_queue_name() -> str | None:
    """The name of the workers' queue, if it lies in the Redis and database that hold the calls."""
    if not _same_redis(settings.CELERY_BROKER_URL, settings.REDIS_URL):
        return None
    return str(current_app.conf.task_default_queue)


def _same_redis(broker: str, calls: str) -> bool:
    if not broker.startswith(("redis://", "rediss://")):
        return False
    ends = [urlsplit(url) for url in (broker, calls)]
    first, second = ((end.hostname, end.port or 6379, end.path.strip("/") or "0") for end in ends)
    return first == second
