"""The ledger's light: what came of its last check, for those who watch the dashboard.

The records worker checks today and yesterday (UTC) by itself. Nothing goes red on one look: what
does not balance is looked at once more, as a call that moves while it is counted may be missed.

Keys (in REDIS_URL); this module alone writes them:

``ringmaster:ledger:light``
    JSON of the last check: ``at_ms`` when (since the epoch), ``green``, ``sentence``, ``took_ms``.
    Kept until the next one; a Redis that is emptied has none until then
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import redis
from django.conf import settings

from calls.clock import wall_clock_ms
from calls.store.impatient import impatient_redis
from calls.store.ledger import Ledger, ledger
from calls.text import printable
from cdr.errors import database_away
from cdr.rounds import in_rounds

KEY = "ringmaster:ledger:light"
EVERY_S = 60.0
"""Between two checks; longer where a check is long."""
AT_MOST = 0.05
"""Part of the time that checks may take: a day of ten million calls is not counted each minute."""
LOOK_AGAIN_S = 2.0
STALE_MS = 3_600_000
"""A light that is older says nothing of now."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Light:
    """What the last check found. ``at_ms`` is since the epoch."""

    at_ms: int
    green: bool
    sentence: str
    took_ms: int

    def is_stale(self, now_ms: int) -> bool:
        """Whether nobody has checked for so long that it says nothing of now."""
        return now_ms - self.at_ms > STALE_MS

    @property
    def next_ms(self) -> int:
        """When the next check is due."""
        return self.at_ms + max(round(EVERY_S * 1000), round(self.took_ms / AT_MOST))


def read(client: "redis.Redis") -> Light | None:
    """The light as it was left; None where there is none, or another version's."""
    text: Any = client.get(KEY)
    try:
        plain = orjson.loads(text)
        return Light(
            int(plain["at_ms"]),
            plain["green"] is True,
            str(plain["sentence"]),
            int(plain["took_ms"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def check(wait: threading.Event | None = None) -> Light:
    """Hold today's and yesterday's calls against their records, and keep what came of it.

    ``wait`` is waited on between two looks, and ends that wait when it is set. Raises
    redis.RedisError, or django.db.Error.
    """
    wait = wait or threading.Event()
    begun_s = time.monotonic()
    found = _look()
    took_ms = round(1000 * (time.monotonic() - begun_s))
    if not all(day.is_green for day in found):
        wait.wait(LOOK_AGAIN_S)
        found = _look()
    light = Light(wall_clock_ms(), all(day.is_green for day in found), sentence_of(found), took_ms)
    with impatient_redis(settings.REDIS_URL) as client:
        client.set(KEY, orjson.dumps(asdict(light)))
    return light


def sentence_of(days: Sequence[Ledger]) -> str:
    """What these days' ledgers say, in a sentence."""
    begun = sum(day.begun for day in days)
    if all(day.is_green for day in days):
        if not begun:
            return "No call began today or yesterday, and nothing is set aside."
        return (
            f"All {begun:,} call{'s' if begun != 1 else ''} of today and yesterday have their "
            "record or are on their way to it."
        )
    parts = []
    for day in days:
        counts = (
            (day.missing_count, "without a record"),
            (len(day.rejected), "rejected"),
            (day.unnoted_count, "of which no begin is known"),
        )
        parts += [
            f"{count:,} call{'s' if count != 1 else ''} of {day.day} {what}"
            for count, what in counts
            if count
        ]
    aside = len(days[0].aside)
    if aside:
        parts.append(f"{aside:,} {'entries are' if aside != 1 else 'entry is'} set aside")
    return f"The ledger does not balance: {', '.join(parts)}."


def _look() -> list[Ledger]:
    today = datetime.now(UTC).date()
    return [ledger(today), ledger(today - timedelta(days=1))]


class LedgerWatch:
    """Checks again and again, in a thread of the records worker.

    Of several workers the one that finds the light old enough checks; two that do so at once do
    the same work twice, and no harm.
    """

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop`` is set."""
        in_rounds(
            lambda: self._look(stop),
            stop,
            EVERY_S / 6,
            lambda error: logger.warning("The ledger was not checked: %s", database_away(error)),
        )

    def _look(self, stop: threading.Event) -> None:
        try:
            self._check_if_due(stop)
        except redis.RedisError as error:
            logger.warning("The ledger was not checked: Redis does not answer: %s", error)

    def _check_if_due(self, stop: threading.Event) -> None:
        with impatient_redis(settings.REDIS_URL) as client:
            before = read(client)
        if before is not None and wall_clock_ms() < before.next_ms:
            return
        light = check(stop)
        if not light.green and (before is None or before.green):
            logger.error("%s See Admin → Ledger.", printable(light.sentence))
