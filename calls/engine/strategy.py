"""How a worker takes a nudge from the queue: straight to the engine's loop.

Celery's own way makes a request object, passes it to the pool and traces its run, for retries,
results, time limits and events that a nudge has none of: 0.3 ms of CPU each. A strategy is Celery's
documented place to do otherwise (`Task.Strategy`).

Where the broker is the calls' own Redis not even that is needed: there the loop asks for itself
(calls/engine/intake.py), and Celery's consumer leaves it the queue.
"""

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery, Task

from calls.engine.tap import tap

logger = logging.getLogger(__name__)


def hand_over(task: "Task[Any, Any]", app: Celery, consumer: Any) -> Callable[..., None]:
    """The handler of the task's messages: run it here and now, and acknowledge.

    The task only puts calls on the engine's loop. Where that is full it waits, and with it the
    consumer, so that what is not begun stays in the broker.
    """
    connection_errors = consumer.connection_errors
    tap.connect(consumer, app.conf.task_default_queue)

    def handle(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **_: Any) -> None:
        try:
            task.run(*message.payload[0])
        except Exception:
            # Raising would end the consumer, and with it the worker, for a message that can be
            # done without: the sweeper finds what it was for.
            logger.exception("A nudge could not be taken: %.300r", message.body)
        ack(logger, connection_errors)

    return handle
