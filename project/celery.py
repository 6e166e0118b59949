"""The hot Celery app: the queue `calls`, whose tasks only nudge."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Celery would read all pages for Django's checks, and tell nobody what they found.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

from celery import Celery, current_app
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutdown

from project.signals import HearsSignals

app = Celery("ringmaster")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["calls.engine"])
app.steps["consumer"].add(HearsSignals)


def _is_ours() -> bool:
    """Whether this process is a worker of this app; signals come for project.records too."""
    return bool(current_app.main == app.main)


@worker_process_init.connect(weak=False)
def _start(**_: Any) -> None:
    # Imported here because the models' registry is only ready in a process that has been set up.
    from calls.engine import runtime
    from calls.vital import end_process

    if _is_ours():
        try:
            runtime.start()
        except Exception as error:  # noqa: BLE001 - it ends the process
            # Celery only notes what a signal's receiver raises, and says "ready" all the same.
            end_process("The start of the engine", error)


def _stop(**_: Any) -> None:
    from calls.engine import runtime

    runtime.stop()


worker_process_shutdown.connect(_stop, weak=False)
# The solo pool has no process of its own to shut down.
worker_shutdown.connect(_stop, weak=False)
