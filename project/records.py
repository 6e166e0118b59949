"""The ``records`` worker: work for the database, away from the calls.

``celery -A project.records worker --queues records`` writes call records (cdr.writer) and traces
(cdr.trace_writer), adds up hours (cdr.rollup), checks the ledger (calls.store.ledger_light) and
more, each in a thread of the worker's main process. Tasks of its queue must survive a worker's
death, so this app keeps what the hot worker does without: acknowledgement after the work, and its
emulation on Redis.
"""

import logging
import os
import threading
from typing import Any

from celery import Celery, bootsteps
from celery.worker import state

from project.signals import HearsSignals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Celery would read all pages for Django's checks, and tell nobody what they found.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

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
app.steps["consumer"].add(HearsSignals)


class WriterStep(bootsteps.StartStopStep):
    """Runs a writer in a thread as long as the worker runs."""

    abstract = True
    # After the pool: its processes are forked before the thread and its connections are there.
    requires = ("celery.worker.components:Pool",)
    thread_name: str
    what: str

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, worker: Any) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(worker.hostname,), name=self.thread_name, daemon=True
        )
        self._thread.start()

    def stop(self, worker: Any) -> None:
        self._end()

    def terminate(self, worker: Any) -> None:
        self._end()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            if self._thread.is_alive():
                logger.error(
                    "The writer of %s did not end within 10 s; what it had in hand stays in "
                    "Redis and is written after the next start.",
                    self.what,
                )

    def _run(self, consumer: str) -> None:
        raise NotImplementedError


class CdrWriterStep(WriterStep):
    """The writer of call records.

    One that dies of a fault takes the worker with it, with exit status 1: a supervisor starts it
    again, whereas a worker without its writer would look well and write nothing.
    """

    thread_name = "cdr-writer"
    what = "call records"

    def _run(self, consumer: str) -> None:
        # Needs Django's apps, which Celery's Django fixup has set up by now.
        from django.conf import settings

        from calls.store import outbox
        from calls.store.heartbeats import Heart
        from cdr.writer import CdrWriter

        writer = CdrWriter(settings.REDIS_URL, consumer, also=outbox.ended)
        heart = Heart("records")
        heart.start()
        try:
            logger.info("Writing call records as %s.", consumer)
            writer.run(self._stop, heart.sign)
        except BaseException:
            logger.critical(
                "The writer of call records died of a fault of its own; the worker ends with it, "
                "to be started again. No record is lost: they wait in Redis.",
                exc_info=True,
            )
            state.should_stop = os.EX_SOFTWARE  # type: ignore[assignment]
        finally:
            heart.stop()
            writer.close()


class SideStep(WriterStep):
    """Something besides. If it dies it leaves the records alone: they are worth more."""

    abstract = True
    without = ""
    """What there is not until the worker is started again, as a sentence's end."""

    def _run(self, consumer: str) -> None:
        try:
            self._work(consumer)
        except BaseException:
            logger.critical(
                "What sees to %s died of a fault of its own. Call records are written on; "
                "%s until this worker is started again.",
                self.what,
                self.without,
                exc_info=True,
            )

    def _work(self, consumer: str) -> None:
        """Go on until ``self._stop`` is set; in Django's apps, which Celery has set up by then."""
        raise NotImplementedError


class TraceWriterStep(SideStep):
    """The writer of traces."""

    thread_name = "trace-writer"
    what = "traces"
    without = "calls have no story"

    def _work(self, consumer: str) -> None:
        from django.conf import settings

        from cdr.trace_writer import Keeping, TraceWriter
        from project.telemetry import teller

        keeping = Keeping(settings.TRACE_DAYS, settings.TRACE_FAILED_DAYS, settings.SIP_TRACE)
        tell, end_telling = teller(settings.OTLP_TRACES_URL)
        writer = TraceWriter(settings.REDIS_URL, consumer, keeping, tell=tell)
        try:
            writer.run(self._stop)
        finally:
            writer.close()
            end_telling()


class RollupStep(SideStep):
    """The adding up of hours."""

    thread_name = "rollup"
    what = "hourly sums"
    without = "charts and reports stand still"

    def _work(self, consumer: str) -> None:
        from cdr.rollup import Rollup

        Rollup().run(self._stop)


class WatchStep(SideStep):
    """Watching the accounts."""

    thread_name = "watch"
    what = "alarms"
    without = "there are no alarms"

    def _work(self, consumer: str) -> None:
        from calls.alarms.watch import Watch

        Watch().run(self._stop)


class ExporterStep(SideStep):
    """The writing of large exports."""

    thread_name = "exporter"
    what = "exports"
    without = "exports wait"

    def _work(self, consumer: str) -> None:
        from cdr.exporter import Exporter

        Exporter().run(self._stop)


class RetentionStep(SideStep):
    """The deleting of old notes."""

    thread_name = "retention"
    what = "old notes"
    without = "the database grows"

    def _work(self, consumer: str) -> None:
        from django.conf import settings

        from cdr.retention import Retention

        Retention(settings.LEDGER_DAYS).run(self._stop)


class LedgerStep(SideStep):
    """The checking of the ledger, for its light on the dashboard."""

    thread_name = "ledger"
    what = "the ledger's light"
    without = "the light stays as it is"

    def _work(self, consumer: str) -> None:
        from calls.store.ledger_light import LedgerWatch

        LedgerWatch().run(self._stop)


class CanaryStep(SideStep):
    """The judging of canaries."""

    thread_name = "canaries"
    what = "canaries"
    without = "none of them moves"

    def _work(self, consumer: str) -> None:
        from calls.canary.course import CanaryWatch

        CanaryWatch().run(self._stop)


app.steps["worker"].add(CdrWriterStep)
app.steps["worker"].add(TraceWriterStep)
app.steps["worker"].add(RollupStep)
app.steps["worker"].add(ExporterStep)
app.steps["worker"].add(WatchStep)
app.steps["worker"].add(RetentionStep)
app.steps["worker"].add(LedgerStep)
app.steps["worker"].add(CanaryStep)
