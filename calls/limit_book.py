"""The limits as the workers have them: read whole, as they are few, and remembered.

They are read again when somebody has changed the configuration (calls/config_version.py), and
every minute, as the word of a change may be lost. When the database does not answer, what is
remembered still holds.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Q

from calls.errors import RoutingUnavailable
from calls.limit_rules import Book, Health, LimitRow, Metric, Scope, bind
from calls.models import Account, Limit, Trunk

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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="limits")

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

    async def read(self, config_version: int) -> Book:
        """The book of this version, from the database.

        Raises RoutingUnavailable when the database fails and nothing is remembered.
        """
        if self._book is not None and asyncio.get_running_loop().time() < self._again_at:
            return self._book
        if self._reading is None or self._reading[0] != config_version or self._reading[1].done():
            self._reading = config_version, asyncio.create_task(self._read(config_version))
        # Calls that come meanwhile wait for the same answer, and none of them cuts it short.
        return await asyncio.shield(self._reading[1])

    async def close(self) -> None:
        """Give up the thread and its connection."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _read(self, config_version: int) -> Book:
        now = asyncio.get_running_loop().time()
        self._old_at = now + REMEMBERED_S
        query = sync_to_async(_read_afresh, thread_sensitive=False, executor=self._thread)
        try:
            async with asyncio.timeout(READ_S):
                self._book = await query()
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            why = str(error).partition("\n")[0] or f"no answer within {READ_S:g} s"
            if self._book is None:
                raise RoutingUnavailable(f"the limits cannot be read: {why}") from error
            logger.error("The database does not answer (%s); the limits remembered hold.", why)
            self._again_at = asyncio.get_running_loop().time() + AGAIN_S
            return self._book
        self._version = config_version
        return self._book


def read_book() -> Book:
    """All enabled limits, what trunks hold, and the trunks whose health is set by hand."""
    rows = [*_limits(), *_capacities()]
    by_hand = Trunk.objects.exclude(health_override=Health.AUTO)
    overrides = {
        name: Health(health) for name, health in by_hand.values_list("name", "health_override")
    }
    return bind(rows, overrides)


def _read_afresh() -> Book:
    close_old_connections()
    return read_book()


def _limits() -> Iterator[LimitRow]:
    limits = list(Limit.objects.filter(enabled=True).order_by("pk"))
    zones = time_zones(limit.target for limit in limits if limit.scope == Scope.ACCOUNT)
    for limit in limits:
        zone = zones.get(limit.target, "UTC") if limit.scope == Scope.ACCOUNT else "UTC"
        yield limit.row(zone)


def time_zones(codes: Iterable[str]) -> dict[str, str]:
    """Where the days of these accounts begin."""
    found = Account.objects.filter(code__in=list(codes)).values_list("code", "time_zone")
    return dict(found)


def _capacities() -> Iterator[LimitRow]:
    limited = Trunk.objects.filter(Q(max_calls__isnull=False) | Q(max_cps__isnull=False))
    for name, max_calls, max_cps in limited.values_list("name", "max_calls", "max_cps"):
        for metric, value in ((Metric.CONCURRENT, max_calls), (Metric.CPS, max_cps)):
            if value is not None:
                yield LimitRow(Scope.CAPACITY, name, metric, value, enforce=True)
