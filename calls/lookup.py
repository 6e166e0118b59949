"""The one query that brings what a call's route depends on, and its rows as frozen values.

It comes in two parts, which are asked for alone or together: what depends on the callee's number
(the accounts, their routes and callee blocklist entries), and what depends on the caller's (caller
blocklist entries). Nothing is decided here: calls.routing.choose looks at every row again.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from django.db import InterfaceError, OperationalError, connection

from calls import prepared
from calls.numbers import MAX_PREFIX, NumberingPlan, diallable
from calls.rows import AccountRow, BlockRow, RouteRow, Side, TargetRow

AT_A_TIME = 1_000
"""Calls that are looked up in one query, where many are."""

T = TypeVar("T")
CallerBlocks = dict[str, tuple[BlockRow, ...]]
"""Caller blocklist entries by the account's code, for accounts that have any."""

Found = tuple[tuple[AccountRow, ...], CallerBlocks, bool | None]
"""The accounts, the caller blocklist entries, and whether there are any of those at all."""

MAX_SHARED = 20_000
"""Rows kept to be shared by the answers that are remembered; then it begins anew."""

# Numbers as calls.numbers.recognise has them: only the account, which the same query finds, says
# how. What begins with + or is not made of digits alone is the same under every plan.
_NUMBER = """
    CASE WHEN {raw} = '' OR NOT {expand} THEN {raw}
         WHEN international_prefix <> ''
              AND substr({raw}, 1, length(international_prefix)) = international_prefix
         THEN substr({raw}, length(international_prefix) + 1)
         WHEN country_code = '' THEN {raw}
         WHEN national_prefix = '' THEN country_code || {raw}
         WHEN substr({raw}, 1, length(national_prefix)) = national_prefix
         THEN country_code || substr({raw}, length(national_prefix) + 1)
         ELSE {raw} END"""

_WHO = """
WITH dialled(callee, callee_expands, caller, caller_expands) AS (
    SELECT CAST(%s AS text), CAST(%s AS boolean), CAST(%s AS text), CAST(%s AS boolean)
), who AS (
    SELECT account.*, {callee} AS callee, {caller} AS caller
    FROM calls_account account CROSS JOIN dialled
    WHERE account.code IN ({codes})
), lengths(n) AS (VALUES {lengths})
"""

# The same for many calls at a time, each of one account: ``code`` is then the call's place.
_WHO_OF_MANY = """
WITH dialled(place, account_code, callee, callee_expands, caller, caller_expands) AS (
    VALUES {calls}
), who AS (
    SELECT account.id, dialled.place AS code, enabled, max_call_s, time_zone, country_code,
           international_prefix, national_prefix, caller_id, {callee} AS callee, {caller} AS caller
    FROM dialled JOIN calls_account account ON account.code = dialled.account_code
), lengths(n) AS (VALUES {lengths})
"""
_ONE_OF_MANY = (
    "(%s, CAST(%s AS text), CAST(%s AS text), CAST(%s AS boolean), CAST(%s AS text), "
    "CAST(%s AS boolean))"
)

_ACCOUNTS = """
SELECT code, 'account' AS kind, {json}(enabled, max_call_s, time_zone, country_code,
       international_prefix, national_prefix, caller_id,
       (SELECT min(prefix) FROM calls_block WHERE side = 'caller') IS NOT NULL) AS payload
FROM who
"""

# The account's own rows and those for all are searched for apart, as an OR would read the rows of
# every account that has the same prefix.
_OWNERS = ("{row}.account_id IS NULL", "{row}.account_id = who.id")

_ROUTES = """
SELECT who.code, 'route' AS kind, {json}(route.id, route.prefix, route.account_id IS NOT NULL,
       route.action = 'block', route.enabled, route.valid_from, route.valid_until, route.schedule,
       trunk.name, trunk.dial_string, trunk.enabled, trunk.ring_timeout_s, trunk.strip_digits,
       trunk.add_prefix, trunk.caller_id, target.priority, target.weight, trunk.caller_id_policy,
       trunk.rewrite_match, trunk.rewrite_replace, target.strip_digits, target.add_prefix)
       AS payload
FROM who
JOIN lengths ON lengths.n <= length(who.callee)
JOIN calls_route route ON route.prefix = substr(who.callee, 1, lengths.n) AND {owner}
LEFT JOIN calls_routetarget target ON target.route_id = route.id
LEFT JOIN calls_trunk trunk ON trunk.id = target.trunk_id
"""

_BLOCKS = """
SELECT who.code, 'block' AS kind, {json}(block.id, block.side, block.prefix,
       block.account_id IS NOT NULL, block.enabled, block.note) AS payload
FROM who
JOIN lengths ON lengths.n BETWEEN 1 AND length(who.{side})
JOIN calls_block block ON block.side = '{side}'
     AND block.prefix = substr(who.{side}, 1, lengths.n) AND {owner}
"""


# As text, because psycopg2 would parse PostgreSQL's JSON by itself, and slower.
_ALL = "SELECT code, kind, CAST(payload AS text) FROM ({rows}) AS found"


def look_up(account_keys: tuple[str, ...], callee: str | None, caller: str | None) -> Found:
    """The accounts with those codes and what there is for the numbers of one call.

    ``callee`` and ``caller`` are diallable numbers as received, '' for none; None leaves that part
    out. Gives the accounts (none where the callee's part was left out), the caller blocklist
    entries of the asked caller, and whether there are any caller blocklist entries at all (None
    where no account was found to tell). Raises django.db.DatabaseError or InterfaceError when the
    database fails.
    """
    if connection.in_atomic_block:
        return look_up_in_transaction(account_keys, callee, caller)
    if connection.close_at is not None and time.monotonic() >= connection.close_at:
        connection.close()
    # Django would ask the connection whether it lives before each use, which costs a call another
    # round trip. It is tried instead, and once more on a new one if it had died meanwhile.
    kept = connection.connection is not None
    try:
        return look_up_in_transaction(account_keys, callee, caller)
    except (OperationalError, InterfaceError):
        if not kept or connection.is_usable():
            raise
        connection.close()
    return look_up_in_transaction(account_keys, callee, caller)


def look_up_in_transaction(
    account_keys: tuple[str, ...], callee: str | None, caller: str | None
) -> Found:
    """The same for whoever is inside a transaction, whose connection must stay."""
    if not account_keys:
        return (), {}, None
    parts = (callee is not None, caller is not None)
    with connection.cursor() as cursor:
        prepared.execute(
            cursor,
            "ringmaster_route_" + "_".join(map(str, (len(account_keys), *map(int, parts)))),
            query(connection.vendor, len(account_keys), *parts),
            ("text", "boolean", "text", "boolean", *["text"] * len(account_keys)),
            parameters(account_keys, callee or "", caller or ""),
        )
        found = cursor.fetchall()
    accounts: list[AccountRow] = []
    blocks: CallerBlocks = {}
    any_caller_blocks = None
    for code, rows in _grouped(found):
        entries = tuple(BlockRow(*payload) for kind, payload in rows if kind == "block")
        of_caller = tuple(entry for entry in entries if entry.side == Side.CALLER)
        if of_caller:
            blocks[code] = of_caller
        for payload in (payload for kind, payload in rows if kind == "account"):
            routes = _routes([payload for kind, payload in rows if kind == "route"])
            callee_blocks = tuple(entry for entry in entries if entry.side == Side.CALLEE)
            accounts.append(_account(code, payload, routes, callee_blocks))
            any_caller_blocks = bool(payload[7])
    return tuple(accounts), blocks, any_caller_blocks


def look_up_many(
    questions: Sequence[tuple[str, str, str]],
) -> dict[tuple[str, str, str], tuple[AccountRow, ...]]:
    """What there is for many calls, each an account's code, a callee and a caller as received.

    For those who look at past calls: one query for a thousand of them, where a query for each
    would take PostgreSQL longer to plan than to answer. Leaves an open transaction be.
    """
    answers: dict[tuple[str, str, str], tuple[AccountRow, ...]] = dict.fromkeys(questions, ())
    asked = list(answers)
    for start in range(0, len(asked), AT_A_TIME):
        some = asked[start : start + AT_A_TIME]
        given: list[Any] = []
        for place, (code, callee, caller) in enumerate(some):
            numbers = (*_as_dialled(diallable(callee)), *_as_dialled(diallable(caller)))
            given += [place, code, *numbers]
        with connection.cursor() as cursor:
            cursor.execute(query_of_many(connection.vendor, len(some)), given)
            found = cursor.fetchall()
        for place, rows in _grouped(found):
            question = some[place]
            blocks = tuple(BlockRow(*payload) for kind, payload in rows if kind == "block")
            blocks = tuple(sorted(blocks, key=lambda block: block.side == Side.CALLER))
            routes = _routes([payload for kind, payload in rows if kind == "route"])
            account = next(payload for kind, payload in rows if kind == "account")
            answers[question] = (_account(question[0], account, routes, blocks),)
    return answers


def _grouped(found: list[tuple[Any, ...]]) -> Iterator[tuple[Any, list[tuple[str, list[Any]]]]]:
    """The rows by what stands in their first column, each as its kind and its values."""
    for first, group in groupby(sorted(found, key=itemgetter(0)), key=itemgetter(0)):
        yield first, [(kind, orjson.loads(payload)) for _, kind, payload in group]


def with_caller_blocks(
    accounts: tuple[AccountRow, ...], blocks: CallerBlocks
) -> tuple[AccountRow, ...]:
    """The accounts, with the caller blocklist entries beside those of the callee."""
    return tuple(
        replace(account, blocks=account.blocks + blocks[account.code])
        if blocks.get(account.code)
        else account
        for account in accounts
    )


@lru_cache
def query(vendor: str, codes: int, of_callee: bool, of_caller: bool) -> str:
    """The SQL for so many account codes, with the parts that are asked for."""
    return _sql(vendor, _WHO, _parts(of_callee, of_caller), codes=", ".join(["%s"] * codes))


def query_of_many(vendor: str, calls: int) -> str:
    """The SQL for so many calls of one account each, with all parts."""
    return _sql(vendor, _WHO_OF_MANY, _parts(True, True), calls=", ".join([_ONE_OF_MANY] * calls))


def _parts(of_callee: bool, of_caller: bool) -> list[str]:
    parts = [_ACCOUNTS] if of_callee else []
    for owner in _OWNERS * of_callee:
        parts.append(_ROUTES.replace("{owner}", owner.format(row="route")))
    for side in [Side.CALLEE] * of_callee + [Side.CALLER] * of_caller:
        for owner in _OWNERS:
            block = _BLOCKS.replace("{owner}", owner.format(row="block"))
            parts.append(block.replace("{side}", side))
    return parts


def _sql(vendor: str, who: str, parts: list[str], **asked: str) -> str:
    json = {"postgresql": "json_build_array"}.get(vendor, "json_array")
    who = who.format(
        callee=_NUMBER.format(raw="dialled.callee", expand="dialled.callee_expands"),
        caller=_NUMBER.format(raw="dialled.caller", expand="dialled.caller_expands"),
        lengths=", ".join(f"({n})" for n in range(MAX_PREFIX + 1)),
        **asked,
    )
    rows = "UNION ALL".join(parts).replace("{json}", json)
    return who + _ALL.replace("{rows}", rows)


def parameters(account_keys: tuple[str, ...], callee: str, caller: str) -> list[Any]:
    """The query's parameters for the numbers of a call."""
    return [*_as_dialled(callee), *_as_dialled(caller), *account_keys]


def _as_dialled(number: str) -> tuple[str, bool]:
    return number.removeprefix("+"), number.isascii() and number.isdigit()


def _account(
    code: str, plain: list[Any], routes: tuple[RouteRow, ...], blocks: tuple[BlockRow, ...]
) -> AccountRow:
    enabled, max_call_s, time_zone, country_code, international, national, caller_id, _ = plain
    return AccountRow(
        code,
        bool(enabled),
        max_call_s,
        routes,
        _shared(NumberingPlan(country_code, international, national)),
        time_zone,
        caller_id,
        blocks,
    )


def _routes(rows: list[list[Any]]) -> tuple[RouteRow, ...]:
    rows.sort(key=lambda row: row[0])
    return tuple(_route(list(group)) for _, group in groupby(rows, key=lambda row: row[0]))


def _route(rows: list[list[Any]]) -> RouteRow:
    route_id, prefix, own, block, enabled, valid_from, valid_until, schedule = rows[0][:8]
    return _shared(
        RouteRow(
            route_id,
            prefix,
            bool(own),
            bool(block),
            tuple(_target(row[8:]) for row in rows if row[8] is not None),
            bool(enabled),
            _ms(valid_from),
            _ms(valid_until),
            schedule,
        )
    )


def _target(plain: list[Any]) -> TargetRow:
    name, dial_string, enabled, *others = plain
    return _shared(TargetRow(name, dial_string, bool(enabled), *others))


_rows: dict[Any, Any] = {}


def _shared(row: T) -> T:
    """An equal row that is there already: many numbers have the same routes and trunks."""
    if len(_rows) >= MAX_SHARED:
        _rows.clear()
    same: T = _rows.setdefault(row, row)
    return same


def _ms(moment: str | None) -> int | None:
    """Milliseconds since the epoch; SQLite's times bear no zone and are UTC."""
    if moment is None:
        return None
    read = datetime.fromisoformat(moment)
    return round((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)
