"""The hot Celery app: the queue `calls`, whose tasks only nudge."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

from celery import Celery, current_app
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutdown

app = Celery("ringmaster")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["calls"])


def _is_ours() -> bool:
    """Whether this process is a worker of this app; signals come for project.records too."""
    return bool(current_app.main == app.main)


@worker_process_init.connect(weak=False)
def _start(**_: Any) -> None:
    # Imported here because the models' registry is only ready in a process that has been set up.
    from calls import runtime

    if _is_ours():
        runtime.start()


def _stop(**_: Any) -> None:
    from calls import runtime

    runtime.stop()


worker_process_shutdown.connect(_stop, weak=False)
# The solo pool has no process of its own to shut down.
worker_shutdown.connect(_stop, weak=False)
