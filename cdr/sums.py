"""Reads the hourly sums."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from cdr.models import HourlyCalls
from cdr.rates import Sums
from cdr.rollup import Span, sums_in

DAY = timedelta(days=1)


def by_hour(
    kind: HourlyCalls.Kind, key: str, first: datetime, last: datetime
) -> dict[datetime, Sums]:
    """The sums of each hour from ``first`` to ``last``, both included, where there are any."""
    rows = HourlyCalls.objects.filter(
        span=Span.HOUR, kind=kind, key=key, hour__gte=first, hour__lte=last
    )
    return {row.hour: sums_in(row) for row in rows.order_by()}


def by_key(kind: HourlyCalls.Kind, first: datetime, end: datetime) -> dict[str, Sums]:
    """The sums of each account, trunk or prefix in the hours from ``first`` until ``end``."""
    found: dict[str, Sums] = defaultdict(Sums)
    for row in _rows(first, end).filter(kind=kind).iterator(chunk_size=2_000):
        found[row.key].add(sums_in(row))
    return dict(found)


def of_key(kind: HourlyCalls.Kind, key: str, first: datetime, end: datetime) -> Sums:
    """The sums of one account, trunk or prefix in the hours from ``first`` until ``end``."""
    return total(map(sums_in, _rows(first, end).filter(kind=kind, key=key)))


def _rows(first: datetime, end: datetime) -> QuerySet[HourlyCalls]:
    """Whole days as days where they have been added up, the rest hour by hour."""
    days = _whole_days(first, end)
    hours = Q(span=Span.HOUR, hour__gte=first, hour__lt=end)
    for day in days:
        hours &= ~Q(hour__gte=day, hour__lt=day + DAY)
    return HourlyCalls.objects.filter(Q(span=Span.DAY, hour__in=days) | hours).order_by()


def total(sums: Iterable[Sums]) -> Sums:
    """All of them together."""
    together = Sums()
    for each in sums:
        together.add(each)
    return together


def _whole_days(first: datetime, end: datetime) -> list[datetime]:
    rows = HourlyCalls.objects.filter(
        span=Span.DAY,
        kind=HourlyCalls.Kind.ALL,
        key="",
        hour__gte=first,
        hour__lte=end - DAY,
    )
    return list(rows.order_by("hour").values_list("hour", flat=True))
