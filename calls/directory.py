"""Accounts, routes and trunks as the engine asks for them: one query, remembered.

What was found for an account and a number is remembered until somebody changes a model (every
turn brings the current version along, see calls/config_version.py). What holds only at times is
remembered with its times and decided for each call. When the database does not answer, what is
remembered still serves, however old: a known destination goes on working.
"""

import asyncio
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError

from calls import causes
from calls.errors import RoutingUnavailable
from calls.lookup import CallerBlocks, look_up, with_caller_blocks
from calls.numbers import DIALLABLE
from calls.routing import AccountRow, CallFacts, Plan, Refusal, choose
from cdr.record import Disposition

REMEMBERED = 20_000
"""Answers kept in each worker process, of each of two kinds; about 2 KB each."""
QUERY_THREADS = 4
"""Queries at a time in each worker process, each with a connection of its own."""
QUERY_S = 1.5
"""A slower query is given up while there is still time to route by what is remembered."""

logger = logging.getLogger(__name__)
T = TypeVar("T")
_Key = tuple[tuple[str, ...], str]


class _Memory(Generic[T]):
    """The answers used last, each with the version of the models it was read at."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, tuple[int, T]] = OrderedDict()

    def get(self, key: _Key, version: int) -> T | None:
        """The answer of that version."""
        known = self._kept.get(key)
        if known is None or known[0] != version:
            return None
        self._kept.move_to_end(key)
        return known[1]

    def of_any_version(self, key: _Key) -> T | None:
        """The answer, however old."""
        known = self._kept.get(key)
        return known[1] if known is not None else None

    def put(self, key: _Key, version: int, answer: T) -> None:
        """Keep the answer, and forget the one that was not used for longest."""
        self._kept[key] = (version, answer)
        self._kept.move_to_end(key)
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)


class Directory:
    """Finds plans for calls. One directory serves one worker process, on its event loop."""

    def __init__(self, default_max_call_s: int) -> None:
        self._default_max_call_s = default_max_call_s
        self._accounts: _Memory[tuple[AccountRow, ...]] = _Memory()
        self._caller_blocks: _Memory[CallerBlocks] = _Memory()
        self._blocks_no_caller_at: int | None = None
        """The version of the models at which there was no caller blocklist entry at all."""
        self._threads = ThreadPoolExecutor(QUERY_THREADS, thread_name_prefix="directory")

    async def find(self, facts: CallFacts, config_version: int) -> Plan | Refusal:
        """Where the call may go. ``config_version`` is that of the models now.

        Raises RoutingUnavailable when the database fails and nothing is remembered.
        """
        callee = (facts.account_keys, _diallable(facts.dialled))
        caller = (facts.account_keys, _diallable(facts.caller_number))
        accounts = self._accounts.get(callee, config_version)
        blocks: CallerBlocks | None = {}
        if caller[1] and self._blocks_no_caller_at != config_version:
            blocks = self._caller_blocks.get(caller, config_version)
        if accounts is None or blocks is None:
            accounts, blocks = await self._refresh(callee, caller, accounts, blocks, config_version)
        if blocks:
            accounts = with_caller_blocks(accounts, blocks)
        return choose(facts, accounts, self._default_max_call_s)

    async def warm(self) -> None:
        """Open the connections, so that the first call does not wait for them."""
        query = sync_to_async(look_up, thread_sensitive=False, executor=self._threads)
        try:
            await asyncio.gather(*(query(("",), "", "") for _ in range(QUERY_THREADS)))
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

    async def _refresh(
        self,
        callee: _Key,
        caller: _Key,
        accounts: tuple[AccountRow, ...] | None,
        blocks: CallerBlocks | None,
        version: int,
    ) -> tuple[tuple[AccountRow, ...], CallerBlocks]:
        """What is missing of the two (None), in one query; else what is remembered of it."""
        query = sync_to_async(look_up, thread_sensitive=False, executor=self._threads)
        ask_callee = callee[1] if accounts is None else None
        ask_caller = caller[1] if blocks is None else None
        try:
            async with asyncio.timeout(QUERY_S):
                found, entries, any_entries = await query(callee[0], ask_callee, ask_caller)
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            return self._remembered(callee, caller, accounts, error)
        if accounts is None:
            accounts = found
            self._accounts.put(callee, version, found)
            if any_entries is False:
                self._blocks_no_caller_at = version
        if blocks is None:
            blocks = entries
            self._caller_blocks.put(caller, version, entries)
        return accounts, blocks

    def _remembered(
        self,
        callee: _Key,
        caller: _Key,
        accounts: tuple[AccountRow, ...] | None,
        error: Exception,
    ) -> tuple[tuple[AccountRow, ...], CallerBlocks]:
        why = str(error).partition("\n")[0] or f"no answer within {QUERY_S:g} s"
        if accounts is None:
            accounts = self._accounts.of_any_version(callee)
        if accounts is None:
            raise RoutingUnavailable(f"the routing database does not answer: {why}") from error
        logger.error("The database does not answer (%s); routing by what is remembered.", why)
        # A known destination goes on working for callers who were not seen before, too.
        return accounts, self._caller_blocks.of_any_version(caller) or {}


def _diallable(number: str) -> str:
    return number if DIALLABLE.fullmatch(number) else ""
