"""Accounts, routes and trunks as the engine asks for them: one query, remembered.

What was found for an account and a number is remembered until somebody changes a model (every
turn brings the current version along, see calls/config_version.py), and for a minute at most, as
the word of a change may be lost. When the database does not answer, what is remembered still
serves, however old: a known destination goes on working.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from calls import causes
from calls.errors import RoutingUnavailable
from calls.routing import (
    AccountRow,
    CallFacts,
    Plan,
    Refusal,
    RouteRow,
    TargetRow,
    choose,
    normalise,
    prefixes_of,
)
from cdr.record import Disposition

REMEMBERED = 20_000
"""Answers kept in each worker process; about 2 KB each."""
REMEMBERED_S = 60.0
"""How long an answer is believed without asking again."""
REST_S = 2.0
"""After a failure of the database, how long known numbers are routed without asking it: a call
should not wait for a query that will most likely fail as well."""
QUERY_THREADS = 4
"""Queries at a time in each worker process, each with a connection of its own."""
QUERY_S = 1.5
"""A slower query is given up while there is still time to route by what is remembered."""

# The account's own routes and those for all come by two index searches instead of one with an OR.
_QUERY = """
SELECT account.code, account.enabled, account.max_call_s,
       route.id, route.prefix, route.account_id IS NOT NULL, route.action,
       trunk.name, trunk.dial_string, trunk.enabled, trunk.ring_timeout_s, trunk.strip_digits,
       trunk.add_prefix, trunk.caller_id, target.priority, target.weight
FROM calls_account account
LEFT JOIN calls_route route
       ON route.enabled AND route.prefix IN ({prefixes})
      AND (route.account_id IS NULL OR route.account_id = account.id)
LEFT JOIN calls_routetarget target ON target.route_id = route.id
LEFT JOIN calls_trunk trunk ON trunk.id = target.trunk_id
WHERE account.code IN ({codes})
ORDER BY account.code, route.id
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database said, at which version of the models and when (the directory's clock)."""

    version: int
    read_s: float
    accounts: tuple[AccountRow, ...]


class Directory:
    """Finds plans for calls. One directory serves one worker process, on its event loop.

    ``clock_s`` gives seconds from any beginning, and never goes back.
    """

    def __init__(
        self, default_max_call_s: int, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._default_max_call_s = default_max_call_s
        self._clock_s = clock_s
        self._rest_until_s = float("-inf")
        self._remembered: OrderedDict[tuple[Any, ...], _Known] = OrderedDict()
        self._threads = ThreadPoolExecutor(QUERY_THREADS, thread_name_prefix="directory")

    async def find(self, facts: CallFacts, config_version: int) -> Plan | Refusal:
        """Where the call may go. ``config_version`` is that of the models now.

        Raises RoutingUnavailable when the database fails and nothing is remembered.
        """
        number = normalise(facts.dialled) or ""
        key = (facts.account_keys, number)
        known = self._remembered.get(key)
        if known is None or not self._serves(known, config_version):
            known = await self._refresh(key, known, config_version)
        else:
            self._remembered.move_to_end(key)
        return choose(facts, known.accounts, self._default_max_call_s)

    async def warm(self) -> None:
        """Open the connections, so that the first call does not wait for them."""
        query = sync_to_async(_rows_in_thread, thread_sensitive=False, executor=self._threads)
        try:
            await asyncio.gather(*(query(("",), "") for _ in range(QUERY_THREADS)))
        except (DatabaseError, InterfaceError) as error:
            logger.error(
                "The database (DATABASE_URL) does not answer; calls are refused until it does: %s",
                str(error).partition("\n")[0],
            )

    def unavailable(self, facts: CallFacts, why: str) -> Refusal:
        """The refusal of a call for which no route can be looked up now."""
        return Refusal(Disposition.CONGESTION, causes.TEMPORARY_FAILURE, why)

    def close(self) -> None:
        """Give up threads and their connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _serves(self, known: _Known, version: int) -> bool:
        """Whether the database need not be asked again."""
        now_s = self._clock_s()
        fresh = known.version == version and now_s < known.read_s + REMEMBERED_S
        return fresh or now_s < self._rest_until_s

    async def _refresh(self, key: tuple[Any, ...], known: _Known | None, version: int) -> _Known:
        query = sync_to_async(_rows_in_thread, thread_sensitive=False, executor=self._threads)
        read_s = self._clock_s()
        try:
            async with asyncio.timeout(QUERY_S):
                fresh = _Known(version, read_s, await query(*key))
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            why = str(error).partition("\n")[0] or f"no answer within {QUERY_S:g} s"
            self._rest_until_s = self._clock_s() + REST_S
            if known is None:
                raise RoutingUnavailable(f"the routing database does not answer: {why}") from error
            logger.error("The database does not answer (%s); routing by what is remembered.", why)
            return known
        self._rest_until_s = float("-inf")
        self._remembered[key] = fresh
        self._remembered.move_to_end(key)
        if len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return fresh


def _rows_in_thread(account_keys: tuple[str, ...], number: str) -> tuple[AccountRow, ...]:
    # Drops a connection the database has closed meanwhile; Django does so between requests.
    close_old_connections()
    return _rows(account_keys, number)


def look_up(facts: CallFacts) -> tuple[AccountRow, ...]:
    """What the choice for a call is made from, asked of the database now. Blocks while it answers.

    Raises ``django.db.Error`` when the database fails.
    """
    return _rows(facts.account_keys, normalise(facts.dialled) or "")


def _rows(account_keys: tuple[str, ...], number: str) -> tuple[AccountRow, ...]:
    """The accounts with those codes, each with the routes that begin *number*."""
    if not account_keys:
        return ()
    prefixes = prefixes_of(number)
    sql = _QUERY.format(
        prefixes=", ".join(["%s"] * len(prefixes)), codes=", ".join(["%s"] * len(account_keys))
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*prefixes, *account_keys])
        rows = cursor.fetchall()
    return tuple(_account(list(group)) for _, group in groupby(rows, key=lambda row: row[0]))


def _account(rows: list[tuple[Any, ...]]) -> AccountRow:
    code, enabled, max_call_s = rows[0][:3]
    with_route = (row for row in rows if row[3] is not None)
    routes = tuple(_route(list(group)) for _, group in groupby(with_route, lambda row: row[3]))
    return AccountRow(code, bool(enabled), max_call_s, routes)


def _route(rows: list[tuple[Any, ...]]) -> RouteRow:
    route_id, prefix, own, action = rows[0][3:7]
    return RouteRow(route_id, prefix, bool(own), action == "block", tuple(_targets(rows)))


def _targets(rows: Iterable[tuple[Any, ...]]) -> Iterable[TargetRow]:
    for row in rows:
        name, dial_string, enabled, timeout, strip, prefix, caller, priority, weight = row[7:]
        if name is not None:
            yield TargetRow(
                name, dial_string, bool(enabled), timeout, strip, prefix, caller, priority, weight
            )
