"""Accounts, routes and trunks as the engine asks for them: one query, remembered.

What was found for an account and a number is remembered until somebody changes a model (every turn
brings the current version along, see calls/store/config_version.py), and for a minute at most, as
the word of a change may be lost. What holds only at times is remembered with its times and decided
for each call. When the database does not answer, what is remembered still serves, however old: a
known destination goes on working. A rewriting that makes another number of the one that was dialled
costs a second question, for that number's blocklist entries and routes.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import DatabaseError, InterfaceError

from calls import causes
from calls.errors import RoutingUnavailable, TrunkRefused
from calls.routing import endpoints
from calls.routing.choice import AccountRow, CallFacts, Plan, Refusal, Unproven, choose
from calls.routing.numbers import DIALLABLE, diallable
from calls.routing.policy import Policy
from calls.store.lookup import (
    CallerBlocks,
    Found,
    look_up,
    look_up_dial_string,
    look_up_phones,
    look_up_trunk,
    with_caller_blocks,
)
from calls.store.query_threads import QueryThreads
from calls.store.refusals import Refusals
from cdr.errors import first_line
from cdr.record import Disposition

REMEMBERED = 20_000
"""Answers kept in each worker process for callees, and as many for callers."""
REMEMBERED_S = 60.0
"""How long an answer is believed without asking again."""
REST_S = 2.0
"""After a failure of the database, how long known numbers are routed without asking it: a call
should not wait for a query that will most likely fail as well."""
QUERY_THREADS = 4
"""Queries at a time in each worker process, each with a connection of its own."""
QUERY_S = 1.5
"""A slower query is given up while there is still time to route by what is remembered."""

logger = logging.getLogger(__name__)
T = TypeVar("T")
_Key = tuple[tuple[str, ...], str]
"""The account's keys, and the number as received; '' for one that cannot be dialled."""


@dataclass(frozen=True, slots=True)
class _Known(Generic[T]):
    """What the database said, at which version of the models and when (the directory's clock)."""

    version: int
    read_s: float
    answer: T


class _Memory(Generic[T]):
    """The answers that were used last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, _Known[T]] = OrderedDict()

    def get(self, key: _Key) -> _Known[T] | None:
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
        return known

    def put(self, key: _Key, known: _Known[T]) -> None:
        """Keep it, and forget the one that was not used for longest."""
        self._kept[key] = known
        self._kept.move_to_end(key)
        if len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)


class Directory:
    """Finds plans for calls. One directory serves one worker process, on its event loop.

    ``clock_s`` gives seconds from any beginning, and never goes back.
    """

    def __init__(
        self,
        default_max_call_s: int,
        clock_s: Callable[[], float] = time.monotonic,
        policy: Policy | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._default_max_call_s = default_max_call_s
        self._policy = policy or Policy()
        self._refusals = refusals
        self._clock_s = clock_s
        self._rest_until_s = float("-inf")
        self._accounts: _Memory[tuple[AccountRow, ...]] = _Memory()
        self._caller_blocks: _Memory[CallerBlocks] = _Memory()
        self._dial_strings: dict[str, _Known[str]] = {}
        """Of every trunk that an answer named: there are far fewer trunks than numbers."""
        self._any_caller_blocks: _Known[bool] | None = None
        """Most have none, and then a new caller is no reason to ask."""
        self._threads = QueryThreads(QUERY_THREADS, "directory", QUERY_S)

    async def find(self, facts: CallFacts, config_version: int) -> Plan | Refusal:
        """Where the call may go. ``config_version`` is that of the models now.

        Raises RoutingUnavailable when the database fails and nothing is remembered.
        """
        found = await self._find(facts, config_version)
        if isinstance(found, Refusal) and self._refusals is not None:
            await self._refusals.note(facts, found)
        return found

    async def _find(self, facts: CallFacts, config_version: int) -> Plan | Refusal:
        callee = (facts.account_keys, diallable(facts.dialled))
        caller = (facts.account_keys, diallable(facts.caller_number))
        accounts = self._accounts.get(callee)
        ask_callee = accounts is None or not self._serves(accounts, config_version)
        ask_caller = self._asks_for_caller(caller, config_version)
        if ask_callee or ask_caller:
            await self._refresh(callee, caller, ask_callee, ask_caller, config_version)
            accounts = self._accounts.get(callee)
        rows = accounts.answer if accounts is not None else ()
        blocks = self._caller_blocks.get(caller)
        nobody_blocked = self._blocks_no_caller(config_version)
        if blocks is not None and not nobody_blocked:
            rows = with_caller_blocks(rows, blocks.answer)
        only = await self._ask(look_up_trunk, facts.trunk) if facts.trunk else None
        others: dict[str, tuple[AccountRow, ...]] = {}
        while True:
            found = choose(
                facts,
                rows,
                self._default_max_call_s,
                policy=self._policy,
                others=others,
                caller_checked=nobody_blocked or blocks is not None,
                # With its steps, which the journal of the call keeps.
                explain=True,
                only=only,
            )
            if not isinstance(found, Unproven):
                return found
            for number in found.numbers:
                others[number] = await self._rows_of(facts.account_keys, number, config_version)

    async def endpoint(self, trunk: str, number: str, config_version: int) -> str:
        """What Asterisk is to dial for this number on that trunk, as it is configured now.

        Raises TrunkRefused when there is no such trunk or its dial string is forbidden, and
        RoutingUnavailable when the database fails and the trunk is not remembered.
        """
        known = self._dial_strings.get(trunk)
        if known is None or not self._still(known, config_version):
            known = await self._ask_for_trunk(trunk, config_version)
        forbidden = endpoints.why_not(known.answer, self._policy)
        if forbidden:
            raise TrunkRefused(f"the dial string of trunk {trunk} {forbidden}")
        if DIALLABLE.fullmatch(number) is None:
            raise TrunkRefused(f"trunk {trunk} was to be sent {number[:64]!r}, which is no number")
        return endpoints.endpoint(known.answer, number)

    async def phone(self, account: str, phone: str) -> str:
        """What Asterisk is to dial for this phone, which is one of the account's now.

        Raises TrunkRefused when it is not, and RoutingUnavailable when the database fails: who
        orders a call to be placed can order it again.
        """
        known = await self._ask(look_up_phones, account)
        if known is None:
            raise TrunkRefused(f"there is no enabled account {account[:80]!r}")
        if phone not in known:
            raise TrunkRefused(f"{phone[:80]!r} is no phone of account {account}")
        return endpoints.phone(phone)

    async def _ask(self, question: Callable[[str], T], name: str) -> T:
        """What the database says; nothing is remembered of it. Raises RoutingUnavailable."""
        try:
            async with asyncio.timeout(QUERY_S):
                return await self._threads.ask(question, name)
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            why = first_line(error, f"no answer within {QUERY_S:g} s")
            raise RoutingUnavailable(f"the routing database does not answer: {why}") from error

    async def warm(self) -> None:
        """Open the connections, so that the first call does not wait for them."""
        try:
            async with asyncio.timeout(QUERY_S):
                await asyncio.gather(*(self._query(("", ""), "", "") for _ in range(QUERY_THREADS)))
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            logger.error(
                "The database (DATABASE_URL) does not answer; calls are refused until it does: %s",
                first_line(error, f"no answer within {QUERY_S:g} s"),
            )

    def unavailable(self, facts: CallFacts, why: str) -> Refusal:
        """The refusal of a call for which no route can be looked up now."""
        return Refusal(Disposition.CONGESTION, causes.TEMPORARY_FAILURE, why)

    def close(self) -> None:
        """Give up threads and their connections."""
        self._threads.close()

    async def _rows_of(
        self, account_keys: tuple[str, ...], number: str, version: int
    ) -> tuple[AccountRow, ...]:
        """The rows for a number that is E.164 already."""
        key = (account_keys, f"+{number}")
        known = self._accounts.get(key)
        if known is None or not self._serves(known, version):
            await self._refresh(key, (account_keys, ""), True, False, version)
            known = self._accounts.get(key)
        return known.answer if known is not None else ()

    def _still(self, known: _Known[str], version: int) -> bool:
        """Whether a dial string need not be asked for: it came with the call's route, which may be
        as old as an answer may be, and the call has gone on since."""
        return known.version == version and self._clock_s() < known.read_s + 2 * REMEMBERED_S

    async def _ask_for_trunk(self, trunk: str, version: int) -> _Known[str]:
        known = self._dial_strings.get(trunk)
        if known is not None and self._clock_s() < self._rest_until_s:
            return known
        try:
            async with asyncio.timeout(QUERY_S):
                found = await self._threads.ask(look_up_dial_string, trunk)
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            why = first_line(error, f"no answer within {QUERY_S:g} s")
            if known is None:
                raise RoutingUnavailable(f"the routing database does not answer: {why}") from error
            logger.error("The database does not answer (%s); dialling by what is remembered.", why)
            return known
        if found is None:
            raise TrunkRefused(f"there is no trunk {trunk[:64]!r}")
        known = self._dial_strings[trunk] = _Known(version, self._clock_s(), found)
        return known

    def _query(
        self, account_keys: tuple[str, ...], callee: str | None, caller: str | None
    ) -> asyncio.Future[Found]:
        return self._threads.ask(look_up, account_keys, callee, caller)

    def _fresh(self, known: _Known[T], version: int) -> bool:
        return known.version == version and self._clock_s() < known.read_s + REMEMBERED_S

    def _serves(self, known: _Known[T], version: int) -> bool:
        """Whether the database need not be asked again."""
        return self._fresh(known, version) or self._clock_s() < self._rest_until_s

    def _blocks_no_caller(self, version: int) -> bool:
        known = self._any_caller_blocks
        return known is not None and not known.answer and self._fresh(known, version)

    def _asks_for_caller(self, caller: _Key, version: int) -> bool:
        if self._blocks_no_caller(version):
            return False
        blocks = self._caller_blocks.get(caller)
        if blocks is not None:
            return not self._serves(blocks, version)
        # While the database rests, a known destination goes on working for new callers too.
        return self._clock_s() >= self._rest_until_s

    async def _refresh(
        self, callee: _Key, caller: _Key, ask_callee: bool, ask_caller: bool, version: int
    ) -> None:
        """Ask for what is missing, in one query. Raises RoutingUnavailable as `find` does."""
        read_s = self._clock_s()
        try:
            async with asyncio.timeout(QUERY_S):
                accounts, blocks, any_blocks = await self._query(
                    callee[0], callee[1] if ask_callee else None, caller[1] if ask_caller else None
                )
        except (DatabaseError, InterfaceError, TimeoutError) as error:
            why = first_line(error, f"no answer within {QUERY_S:g} s")
            self._rest_until_s = self._clock_s() + REST_S
            if self._accounts.get(callee) is None:
                raise RoutingUnavailable(f"the routing database does not answer: {why}") from error
            logger.error("The database does not answer (%s); routing by what is remembered.", why)
            return
        self._rest_until_s = float("-inf")
        if ask_callee:
            self._accounts.put(callee, _Known(version, read_s, accounts))
            for account in accounts:
                for route in account.routes:
                    tried = route.canary.targets if route.canary is not None else ()
                    for row in route.targets + tried:
                        self._dial_strings[row.trunk] = _Known(version, read_s, row.dial_string)
        if ask_caller:
            self._caller_blocks.put(caller, _Known(version, read_s, blocks))
        if any_blocks is not None:
            self._any_caller_blocks = _Known(version, read_s, any_blocks)
