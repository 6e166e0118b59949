"""Tells workers that accounts, trunks or routes have changed.

Key (in REDIS_URL):

``ringmaster:config_version``
    Counter. Raised after every committed change; a worker that sees another value than the one it
    read its routes at drops what it remembers. Absent means 0.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import redis
from django.conf import settings
from django.db import models, transaction
from django.db.models.signals import post_delete, post_save

from calls.store.impatient import impatient_redis

KEY = "ringmaster:config_version"

logger = logging.getLogger(__name__)
_failures: ContextVar[list[str] | None] = ContextVar("config_version_failures", default=None)


def bump() -> bool:
    """Raise the counter now; to be called by hand after a bulk change has been committed.

    Returns False where Redis could not be reached. That is logged, and noted for
    :func:`collect_failures`, but not raised: the change is in the database and stays there.
    """
    try:
        # A second INCR after a lost reply would do no harm, but waiting for it would.
        with impatient_redis(settings.REDIS_URL) as client:
            client.incr(KEY)
    except redis.RedisError as error:
        sentence = (
            "The change is saved, but Redis (REDIS_URL) could not be told "
            f"({type(error).__name__}): workers may route by what they remember until the next "
            "change. Save once more when Redis is back."
        )
        logger.error(sentence)
        failures = _failures.get()
        if failures is not None and sentence not in failures:
            failures.append(sentence)
        return False
    return True


@contextmanager
def collect_failures() -> Iterator[list[str]]:
    """Gather the sentences of bumps that failed inside the block, to show them to a user."""
    failures: list[str] = []
    token = _failures.set(failures)
    try:
        yield failures
    finally:
        _failures.reset(token)


def watch(model: type[models.Model]) -> None:
    """Raise the counter whenever a row of ``model`` is saved or deleted, after the commit.

    ``bulk_create``, ``bulk_update`` and ``QuerySet.update`` send no signals: call :func:`bump`
    after them.
    """
    for signal in (post_save, post_delete):
        signal.connect(_changed, sender=model, dispatch_uid=f"config_version {model._meta.label}")


def _changed(sender: type[models.Model], using: str, **kwargs: Any) -> None:
    transaction.on_commit(bump, using=using)
