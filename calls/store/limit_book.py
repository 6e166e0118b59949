"""The limits as the workers have them: read whole, as they are few, and remembered.

They are read again when somebody has changed the configuration (calls/store/config_version.py), and
every minute, as the word of a change may be lost. When the database does not answer, what is
remembered still holds.
"""

import asyncio
import logging
from collections.abc import Iterator

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Q

from calls.errors import RoutingUnavailable
from calls.limits.rules import Book, Health, LimitRow, Metric, Scope, bind
from calls.models import Limit, Trunk
from calls.store.drains import read_drained
from calls.store.query_threads import QueryThreads
from cdr.errors import first_line

NO_VERSION = -1
"""Older than any version of the configuration."""
READ_S = 1.5
"""A slower answer is given up while there is still time to go by what is remembered."""
REMEMBERED_S = 60.0
"""How long the limits are believed without asking again."""
AGAIN_S = 2.0
"""How long what is remembered serves after the database failed, before it is asked again."""

logger = logging.getLogger(__name__)


class LimitBook:
    """What one worker process knows of the limits. Lives on its event loop."""

    def __init__(self) -> None:
        self._book: Book | None = None
        self._version = NO_VERSION
        self._again_at = 0.0
        self._old_at = 0.0
        self._reading: tuple[int, asyncio.Task[Book]] | None = None
        self._thread = QueryThreads(1, "limits", READ_S)

    def known(self, config_version: int) -> Book | None:
        """The book, if it is of this version of the configuration."""
        return self._book if self._version == config_version else None

    async def refresh(self) -> None:
        """Read the limits again if they were read too long ago; no call waits for it."""
        if asyncio.get_running_loop().time() < self._old_at:
            return
        try:
            await self.read(self._version)
        except RoutingUnavailable as error:
            logger.error("Calls are refused until the database answers: %s.", error)

    @property
    def up_by_hand(self) -> frozenset[str]:
        """Trunks that somebody has declared up, whatever their attempts say."""
        overrides = self._book.overrides if self._book else {}
        return frozenset(name for name, health in overrides.items() if health is Health.UP)

    def prepare(self, config_version: int) -> None:
        """Begin to read the book of this version if it is not known; whoever needs it waits."""
        if self.known(config_version) is None and not self._rests:
            self._begin_to_read(config_version)

    async def read(self, config_version: int) -> Book:
        """The book of this version, from the database.

        Raises RoutingUnavailable when the database fails and nothing is remembered.
        """
        if self._book is not None and self._rests:
            return self._book
        # Calls that come meanwhile wait for the same answer, and none of them cuts it short.
        return await asyncio.shield(self._begin_to_read(config_version))

    async def close(self) -> None:
        """Give up the thread and its connection."""
        self._thread.close()

    @property
    def _rests(self) -> bool:
        """Whether the database failed a moment ago, and what is remembered serves."""
        return self._book is not None and asyncio.get_running_loop().time() < self._again_at

    def _begin_to_read(self, config_version: int) -> "asyncio.Task[Book]":
        if self._reading is None or self._reading[0] != config_version or self._reading[1].done():
            task = asyncio.create_task(self._read(config_version))
            # What failed is raised where it is waited for, and is no news to anybody else.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._reading = config_version, task
        return self._reading[1]

    async def _read(self, config_version: int) -> Book:
        now = asyncio.get_running_loop().time()
        self._old_at = now + REMEMBERED_S
        try:
            async with asyncio.timeout(READ_S):
                self._book = await self._thread.ask(_read_afresh)
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            why = first_line(error, f"no answer within {READ_S:g} s")
            if self._book is None:
                raise RoutingUnavailable(f"the limits cannot be read: {why}") from error
            logger.error("The database does not answer (%s); the limits remembered hold.", why)
            self._again_at = asyncio.get_running_loop().time() + AGAIN_S
            return self._book
        self._version = config_version
        return self._book


def read_book() -> Book:
    """All enabled limits, what trunks hold, whose health is set by hand, and what is drained."""
    rows = [*_limits(), *_capacities()]
    by_hand = Trunk.objects.exclude(health_override=Health.AUTO)
    overrides = {
        name: Health(health) for name, health in by_hand.values_list("name", "health_override")
    }
    return bind(rows, overrides, read_drained())


def _read_afresh() -> Book:
    close_old_connections()
    return read_book()


def _limits() -> Iterator[LimitRow]:
    limits = Limit.objects.filter(enabled=True).select_related("account", "trunk")
    for limit in limits.order_by("pk"):
        yield limit.row()


def _capacities() -> Iterator[LimitRow]:
    limited = Trunk.objects.filter(Q(max_calls__isnull=False) | Q(max_cps__isnull=False))
    rows = limited.values_list("name", "counter", "max_calls", "max_cps")
    for name, counter, max_calls, max_cps in rows:
        for metric, value in ((Metric.CONCURRENT, max_calls), (Metric.CPS, max_cps)):
            if value is not None:
                yield LimitRow(Scope.CAPACITY, name, metric, value, counted_as=counter or name)
