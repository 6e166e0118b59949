"""The ``records`` worker: work for the database, away from the calls.

``celery -A project.records worker --queues records`` writes call records (cdr.writer, in a thread
of the worker's main process). Tasks of its queue must survive a worker's death, so this app keeps
what the hot worker does without: acknowledgement after the work, and its emulation on Redis.
"""

import logging
import os
import threading
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

logger = logging.getLogger(__name__)

app = Celery("ringmaster-records")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_default_queue="records",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={
        name: value
        for name, value in app.conf.broker_transport_options.items()
        if name != "ack_emulation"
    },
)


class CdrWriterStep(bootsteps.StartStopStep):
    """Runs the writer of call records as long as the worker runs.

    A writer that dies of a fault takes the worker with it, with exit status 1: a supervisor
    starts it again, whereas a worker without its writer would look well and write nothing.
    """

    # After the pool: its processes are forked before the thread and its connections are there.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, worker: Any) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(worker.hostname,), name="cdr-writer", daemon=True
        )
        self._thread.start()

    def stop(self, worker: Any) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            if self._thread.is_alive():
                logger.error(
                    "The writer of call records did not end within 10 s; what it had in hand "
                    "stays in Redis and is written after the next start."
                )

    terminate = stop

    def _run(self, consumer: str) -> None:
        # Needs Django's apps, which Celery's Django fixup has set up by now.
        from django.conf import settings

        from cdr.writer import CdrWriter

        writer = CdrWriter(settings.REDIS_URL, consumer)
        try:
            logger.info("Writing call records as %s.", consumer)
            writer.run(self._stop)
        except BaseException:
            logger.critical(
                "The writer of call records died of a fault of its own; the worker ends with it, "
                "to be started again. No record is lost: they wait in Redis.",
                exc_info=True,
            )
            state.should_stop = os.EX_SOFTWARE
        finally:
            writer.close()


app.steps["worker"].add(CdrWriterStep)
