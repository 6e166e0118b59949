"""Reads the hourly sums: the database adds them up, as a month of them is half a million rows.

A row's histogram lies in a column for each bin; its causes are JSON, which the database takes
apart where they are asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import QuerySet, Sum

from cdr.models import HourlyCalls
from cdr.rates import BINS, Sums

DAY = timedelta(days=1)
COUNTS = ("attempts", "seizures", "answered", "effective", "talk_ms", "billsec")
BIN_COLUMNS = tuple(f"pdd_{number}" for number in range(BINS))
_ADDED = {f"sum_{name}": Sum(name) for name in (*COUNTS, *BIN_COLUMNS)}
_EACH_CAUSE = {
    "postgresql": "jsonb_each_text(part.causes) AS cause",
    "sqlite": "json_each(part.causes) AS cause",
}

Span = HourlyCalls.Span


def by_hour(
    kind: HourlyCalls.Kind, key: str, first: datetime, last: datetime
) -> dict[datetime, Sums]:
    """The sums of each hour from ``first`` to ``last``, both included, where there are any;
    without causes."""
    rows = HourlyCalls.objects.filter(
        span=Span.HOUR, kind=kind, key=key, hour__gte=first, hour__lte=last
    )
    found = rows.order_by().values_list("hour", *COUNTS, *BIN_COLUMNS)
    return {hour: _sums(values) for hour, *values in found}


def causes_by_hour(
    kind: HourlyCalls.Kind, key: str, first: datetime, last: datetime
) -> dict[datetime, Counter[str]]:
    """The causes of each of the same hours, where there are any."""
    rows = HourlyCalls.objects.filter(
        span=Span.HOUR, kind=kind, key=key, hour__gte=first, hour__lte=last
    )
    causes = rows.order_by().values_list("hour", "causes")
    return {hour: Counter(counted) for hour, counted in causes}


def by_key(kind: HourlyCalls.Kind, first: datetime, end: datetime) -> dict[str, Sums]:
    """The sums of each account, trunk or prefix in the hours from ``first`` until ``end``;
    without causes."""
    found: dict[str, Sums] = {}
    for rows in _parts(kind, first, end):
        for key, *values in rows.values_list("key").annotate(**_ADDED):
            if key in found:
                found[key].add(_sums(values))
            else:
                found[key] = _sums(values)
    return found


def causes_by_key(
    kind: HourlyCalls.Kind, first: datetime, end: datetime, keys: Collection[str] | None = None
) -> dict[str, Counter[str]]:
    """The causes of each of these accounts, trunks or prefixes in the same time, where there are
    any; of all without ``keys``."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for rows in _parts(kind, first, end):
        some = rows if keys is None else rows.filter(key__in=keys)
        for key, cause, calls in _causes(some):
            found[key][cause] += calls
    return dict(found)


def of_key(kind: HourlyCalls.Kind, key: str, first: datetime, end: datetime) -> Sums:
    """The sums of one account, trunk or prefix in the hours from ``first`` until ``end``; without
    causes."""
    parts = (rows.filter(key=key).aggregate(**_ADDED) for rows in _parts(kind, first, end))
    return total(_sums([found[name] for name in _ADDED]) for found in parts)


def total(sums: Iterable[Sums]) -> Sums:
    """All of them together."""
    together = Sums()
    for each in sums:
        together.add(each)
    return together


def _sums(values: Sequence[Any]) -> Sums:
    """Of the counts and then the bins, None for what no row has."""
    # PostgreSQL adds up bigints to a Decimal.
    attempts, seizures, answered, effective, talk_ms, billsec, *bins = (
        int(value or 0) for value in values
    )
    return Sums(attempts, seizures, answered, effective, talk_ms, billsec, bins)


def _causes(rows: "QuerySet[HourlyCalls]") -> Iterable[tuple[str, str, int]]:
    """Key, cause, and how many calls it ended."""
    connection = connections[rows.db]
    try:
        part, params = rows.values("key", "causes").query.sql_with_params()
    except EmptyResultSet:
        return []
    # Built of the query that Django wrote, with its parameters beside it. Materialized, as
    # PostgreSQL expects a hundred causes a row and would rather read the whole table for so many.
    sql = (
        f"WITH part AS MATERIALIZED ({part}) "  # noqa: S608
        "SELECT part.key, cause.key, SUM(CAST(cause.value AS integer)) "
        f"FROM part, {_EACH_CAUSE[connection.vendor]} GROUP BY part.key, cause.key"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [(key, cause, int(calls)) for key, cause, calls in cursor.fetchall()]


def _parts(kind: HourlyCalls.Kind, first: datetime, end: datetime) -> "list[QuerySet[HourlyCalls]]":
    """Rows that count each call from ``first`` until ``end`` once: whole days as days where they
    have been added up, the rest hour by hour.

    Each stretch of hours apart: PostgreSQL reads one by the index, and for two of them together it
    may read the whole table.
    """
    rows = HourlyCalls.objects.filter(kind=kind).order_by()
    days = _whole_days(first, end)
    parts, begin = [], first
    if days:
        parts.append(rows.filter(span=Span.DAY, hour__gte=days[0], hour__lte=days[-1]))
    for day in [*days, end]:
        if begin < day:
            parts.append(rows.filter(span=Span.HOUR, hour__gte=begin, hour__lt=day))
        begin = day + DAY
    return parts


def _whole_days(first: datetime, end: datetime) -> list[datetime]:
    rows = HourlyCalls.objects.filter(
        span=Span.DAY,
        kind=HourlyCalls.Kind.ALL,
        key="",
        hour__gte=first,
        hour__lte=end - DAY,
    )
    return list(rows.order_by("hour").values_list("hour", flat=True))
