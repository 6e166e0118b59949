"""The one query that brings what a call's route depends on, and its rows as frozen values.

It comes in two parts, which are asked for alone or together: what depends on the callee's number
(the accounts, their routes and callee blocklist entries), and what depends on the caller's (caller
blocklist entries). Nothing is decided here: calls.routing.choose looks at every row again.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from django.db import InterfaceError, OperationalError, connection

from calls.routing import endpoints, nanp
from calls.routing.numbers import MAX_PREFIX, OWN, NumberingPlan, diallable
from calls.routing.rows import AccountRow, BlockRow, CanaryRow, RouteRow, Side, TargetRow
from calls.store import prepared
from cdr.moments import ms_of

AT_A_TIME = 1_000
"""Calls that are looked up in one query, where many are."""

T = TypeVar("T")
CallerBlocks = dict[str, tuple[BlockRow, ...]]
"""Caller blocklist entries by the account's code, for accounts that have any."""

Found = tuple[tuple[AccountRow, ...], CallerBlocks, bool | None]
"""The accounts, the caller blocklist entries, and whether there are any of those at all."""

MAX_SHARED = 20_000
"""Rows kept to be shared by the answers that are remembered; then it begins anew."""

# Numbers as calls.routing.numbers has them: only the account, which the same query finds, says
# how. What begins with + or is not made of digits alone is the same under every plan.
_NUMBER = """
    CASE WHEN {raw} = '' OR NOT {expand} THEN {raw}
         WHEN short_codes <> '' AND {raw} {matches} ('^(' ||
              replace(replace(replace(short_codes, '*', '[*]'), 'x', '[0-9]'), ' ', '|') || ')$')
         THEN CASE WHEN national_prefix = '' THEN country_code ELSE '' END || {raw}
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
           international_prefix, national_prefix, caller_id, short_codes, allowed_prefixes,
           allowed_callers, refuse_unchecked, {callee} AS callee, {caller} AS caller
    FROM dialled JOIN calls_account account ON account.code = dialled.account_code
), lengths(n) AS (VALUES {lengths})
"""
_ONE_OF_MANY = (
    "(%s, CAST(%s AS text), CAST(%s AS text), CAST(%s AS boolean), CAST(%s AS text), "
    "CAST(%s AS boolean))"
)

_ACCOUNTS = """
SELECT code, 'account' AS kind, {json}(enabled, max_call_s, time_zone, country_code,
       international_prefix, national_prefix, caller_id, short_codes, allowed_prefixes,
       allowed_callers, refuse_unchecked,
       COALESCE((SELECT min(prefix) FROM calls_block WHERE side = 'caller'),
                (SELECT min(prefix) FROM calls_block WHERE side = 'none')) IS NOT NULL) AS payload
FROM who
"""

# The account's own rows and those for all are searched for apart, as an OR would read the rows of
# every account that has the same prefix.
_OWNERS = ("{row}.account_id IS NULL", "{row}.account_id = who.id")

_TARGET = """
       trunk.name, trunk.dial_string, trunk.enabled, trunk.ring_timeout_s, trunk.strip_digits,
       trunk.add_prefix, trunk.caller_id, target.priority, target.weight, trunk.caller_id_policy,
       trunk.rewrite_match, trunk.rewrite_replace, target.strip_digits, target.add_prefix,
       trunk.tech_prefix, trunk.country_code, trunk.international_prefix, trunk.national_prefix
""".strip()
"""In the order in which `_target` reads them."""

_ROUTES = """
SELECT who.code, 'route' AS kind, {json}(route.id, route.prefix, route.account_id IS NOT NULL,
       route.action = 'block', route.enabled, route.valid_from, route.valid_until, route.schedule,
       {target}) AS payload
FROM who
JOIN lengths ON lengths.n <= length(who.callee)
JOIN calls_route route ON route.prefix = substr(who.callee, 1, lengths.n) AND {owner}
LEFT JOIN calls_routetarget target ON target.route_id = route.id
LEFT JOIN calls_trunk trunk ON trunk.id = target.trunk_id
"""

# Few routes have a canary, so it is begun from those that do: an index over running ones alone.
_CANARIES = """
SELECT who.code, 'canary' AS kind, {json}(route.id, canary.id, canary.share,
       {target}) AS payload
FROM who
JOIN calls_canary canary ON canary.state = 'running'
JOIN calls_route route ON route.id = canary.route_id
     AND route.prefix = substr(who.callee, 1, length(route.prefix))
     AND (route.account_id IS NULL OR route.account_id = who.id)
JOIN calls_canarytarget target ON target.canary_id = canary.id
JOIN calls_trunk trunk ON trunk.id = target.trunk_id
"""

_BLOCKS = """
SELECT who.code, 'block' AS kind, {json}(block.id, block.side, block.prefix,
       block.account_id IS NOT NULL, block.enabled, block.note) AS payload
FROM who
JOIN lengths ON lengths.n BETWEEN {from} AND length(who.{number})
JOIN calls_block block ON block.side = {side}
     AND block.prefix = substr(who.{number}, 1, lengths.n) AND {owner}
"""
_CALLEE_BLOCKS = {"from": "1", "number": "callee", "side": "'callee'"}
# The entry for callers without a number has no prefix, and comes along with every caller's.
_CALLER_BLOCKS = {
    "from": "0",
    "number": "caller",
    "side": "CASE WHEN lengths.n = 0 THEN 'none' ELSE 'caller' END",
}


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
        of_caller = tuple(entry for entry in entries if entry.side != Side.CALLEE)
        if of_caller:
            blocks[code] = of_caller
        for payload in (payload for kind, payload in rows if kind == "account"):
            routes = _routes(rows)
            callee_blocks = tuple(entry for entry in entries if entry.side == Side.CALLEE)
            accounts.append(_account(code, payload, routes, callee_blocks))
            any_caller_blocks = bool(payload[-1])
    return tuple(accounts), blocks, any_caller_blocks


def look_up_dial_string(trunk: str) -> str | None:
    """The dial string of the trunk of this name; None if there is none. Raises as `look_up`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT dial_string FROM calls_trunk WHERE name = %s", [trunk])
        found = cursor.fetchone()
    return str(found[0]) if found else None


def look_up_phones(code: str) -> tuple[str, ...] | None:
    """Phones of the enabled account of this code, None if there is none. Raises as `look_up`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT phones FROM calls_account WHERE code = %s AND enabled", [code])
        found = cursor.fetchone()
    return endpoints.phones_of(str(found[0]), code) if found else None


def look_up_trunk(trunk: str) -> TargetRow | None:
    """The trunk of this name as a route would name it that knows no other; None if there is none.
    Raises as `look_up`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_TRUNK} FROM calls_trunk WHERE name = %s", [trunk])  # noqa: S608
        found = cursor.fetchone()
    if found is None:
        return None
    row = dict(zip(_TRUNK.split(", "), found, strict=True))
    return TargetRow(trunk=row.pop("name"), priority=0, weight=1, **row)


_TRUNK = (
    "name, dial_string, enabled, ring_timeout_s, strip_digits, add_prefix, caller_id, "
    "caller_id_policy, rewrite_match, rewrite_replace, tech_prefix, country_code, "
    "international_prefix, national_prefix"
)


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
            blocks = tuple(sorted(blocks, key=lambda block: block.side != Side.CALLEE))
            routes = _routes(rows)
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
    parts += [_CANARIES] * of_callee
    for names in [_CALLEE_BLOCKS] * of_callee + [_CALLER_BLOCKS] * of_caller:
        for owner in _OWNERS:
            block = _BLOCKS.replace("{owner}", owner.format(row="block"))
            for name, text in names.items():
                block = block.replace("{" + name + "}", text)
            parts.append(block)
    return parts


def _sql(vendor: str, who: str, parts: list[str], **asked: str) -> str:
    is_postgres = vendor == "postgresql"
    json = "json_build_array" if is_postgres else "json_array"
    matches = "~" if is_postgres else "REGEXP"
    who = who.format(
        **{
            side: _NUMBER.format(
                raw=f"dialled.{side}", expand=f"dialled.{side}_expands", matches=matches
            )
            for side in ("callee", "caller")
        },
        lengths=", ".join(f"({n})" for n in range(MAX_PREFIX + 1)),
        **asked,
    )
    rows = "UNION ALL".join(parts).replace("{json}", json).replace("{target}", _TARGET)
    return who + _ALL.replace("{rows}", rows)


def parameters(account_keys: tuple[str, ...], callee: str, caller: str) -> list[Any]:
    """The query's parameters for the numbers of a call."""
    return [*_as_dialled(callee), *_as_dialled(caller), *account_keys]


def _as_dialled(number: str) -> tuple[str, bool]:
    return number.removeprefix("+"), number.isascii() and number.isdigit()


def _account(
    code: str, plain: list[Any], routes: tuple[RouteRow, ...], blocks: tuple[BlockRow, ...]
) -> AccountRow:
    enabled, max_call_s, time_zone, country_code, international, national, caller_id = plain[:7]
    short_codes, allowed_prefixes, allowed_callers, refuse_unchecked = plain[7:11]
    plan = NumberingPlan(country_code, international, national, tuple(short_codes.split()))
    return AccountRow(
        code,
        bool(enabled),
        max_call_s,
        routes,
        _shared(plan),
        time_zone,
        caller_id,
        blocks,
        _shared(prefixes_allowed(allowed_prefixes, country_code)),
        _shared(tuple(allowed_callers.split())),
        bool(refuse_unchecked),
    )


def prefixes_allowed(text: str, country_code: str) -> tuple[str, ...] | None:
    """The field ``allowed_prefixes`` as the choice takes it: None for everywhere.

    ``own`` is the account's country code, of 1 what calls/routing/nanp.py says; of an account that
    has none it allows nothing.
    """
    if not text:
        return None
    own = nanp.OWN if country_code == nanp.COUNTRY_CODE else (country_code,)
    words = (own if word == OWN else (word,) for word in text.split())
    return tuple(prefix for prefix in dict.fromkeys(chain.from_iterable(words)) if prefix)


def _routes(found: list[tuple[str, list[Any]]]) -> tuple[RouteRow, ...]:
    rows = sorted((row for kind, row in found if kind == "route"), key=itemgetter(0))
    canaries = sorted((row for kind, row in found if kind == "canary"), key=itemgetter(0))
    tried = {route: _canary(list(group)) for route, group in groupby(canaries, key=itemgetter(0))}
    return tuple(
        _route(list(group), tried.get(route)) for route, group in groupby(rows, key=itemgetter(0))
    )


def _canary(rows: list[list[Any]]) -> CanaryRow:
    _, canary_id, share = rows[0][:3]
    return CanaryRow(canary_id, share, tuple(_target(row[3:]) for row in rows))


def _route(rows: list[list[Any]], canary: CanaryRow | None) -> RouteRow:
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
            canary,
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
    return ms_of(read)
