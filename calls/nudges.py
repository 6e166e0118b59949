"""Nudging workers: one Celery message for all the calls that wait right now.

Publishing blocks, and a broker may hang, so a thread of its own does it and the event loop that
reads Asterisk's WebSocket never waits. While one message is under way further calls gather for
the next, so the busier it gets the less a nudge costs.
"""

import logging
import threading
import time
from collections.abc import Iterable
from uuid import uuid4

from celery import current_app
from kombu import Producer
from kombu.exceptions import OperationalError

from calls.tasks import attend

MOST_CALLS = 64
"""Calls named in one message."""
PAUSE_S = 1.0
"""How long nudging rests after the broker failed. The sweeper finds the calls meanwhile."""

logger = logging.getLogger(__name__)


class Publisher:
    """Publishes nudges over one kept connection. Belongs to one thread."""

    def __init__(self) -> None:
        self._queue = current_app.conf.task_default_queue
        self._connection = current_app.connection_for_write()
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
                "task": attend.name,
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
        self._thread = threading.Thread(target=self._run, name="nudger", daemon=True)

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
        with self._changed:
            self._waiting.clear()
        time.sleep(PAUSE_S)
