"""What the records worker deletes by itself when it is old enough: notes of calls that began.

Call records leave only when somebody says so (cdr/archive.py), traces by their own last day
(cdr/trace_writer.py). A note is of use as long as somebody may still look for a record that is
missing; after that it is a row for each call, for ever.
"""

import logging
import threading
from datetime import UTC, datetime, time, timedelta

from cdr.models import BegunCall
from cdr.rounds import in_rounds

BATCH = 2_000
"""Notes that one statement deletes: some ten milliseconds."""
EVERY_S = 3_600.0

logger = logging.getLogger(__name__)


def drop_begun(days: int, stop: threading.Event, now: datetime | None = None) -> int:
    """Delete notes of days (UTC) more than so many days ago, and return how many there were.

    Raises django.db.Error.
    """
    today = (now or datetime.now(UTC)).date()
    until = datetime.combine(today - timedelta(days=days), time(), UTC)
    old = BegunCall.objects.filter(begun_at__lt=until).order_by("begun_at")
    dropped = 0
    while not stop.is_set():
        keys = list(old.values_list("pk", flat=True)[:BATCH])
        BegunCall.objects.filter(pk__in=keys).delete()
        dropped += len(keys)
        if len(keys) < BATCH:
            break
    if dropped:
        logger.info("Dropped the notes of %d calls that began before %s.", dropped, until.date())
    return dropped


class Retention:
    """Deletes what is old enough, in a thread of its own; ``begun_days`` 0 keeps notes for ever."""

    def __init__(self, begun_days: int) -> None:
        self._begun_days = begun_days

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop`` is set. A database that is away is waited for."""
        in_rounds(
            lambda: self._begun_days and drop_begun(self._begun_days, stop),
            stop,
            EVERY_S,
            lambda error: logger.warning("Old notes could not be dropped, again later: %s", error),
            at_once=True,
        )
