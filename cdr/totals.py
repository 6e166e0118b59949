"""What a list of call records adds up to, in one sentence, and never for longer than it may take.

Up to `CAP` records are added up from the list itself, in the query that counts it. Of more there
are the hourly sums, where the list asks for nothing that they do not know (they are some seconds
behind), and where they know that it is so long, no record is read for it. Else the newest are added
up, and that there are more is said. A filter that fits few records of many can make even that read
for minutes: then it is added up backwards in time, piece by piece, and the sentence says since
when.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import OperationalError
from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.functional import cached_property

from cdr import paging
from cdr.display import clock
from cdr.filters import EVERYTHING, WINDOWS, chosen_window
from cdr.models import Cdr, HourlyCalls
from cdr.paging import CappedPaginator
from cdr.patience import limited, was_too_slow
from cdr.rates import Sums
from cdr.rollup import HOUR, hour_of
from cdr.sums import of_key

PIECES = tuple(timedelta(hours=hours) for hours in (1, 6, 24, 3 * 24, 7 * 24, 30 * 24, 90 * 24))
"""How far back from now a list is added up, one by one, where all at once took too long."""
PLAIN = {"window", "account", "trunk", "p", "o", "columns", "e"}
"""Parameters of a list whose records the hourly sums count too."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What was added up; ``since`` is where that ended for want of time.

    ``least``: there are so many calls and may be more, of which none was answered.
    """

    calls: int = 0
    answered: int = 0
    talk_ms: int = 0
    billsec: int = 0
    since: datetime | None = None
    least: bool = False

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            self.calls + other.calls,
            self.answered + other.answered,
            self.talk_ms + other.talk_ms,
            self.billsec + other.billsec,
            other.since or self.since,
        )

    @property
    def sums(self) -> str:
        """``12 answered, 1:02:03 of talk, 3,723 billed seconds``."""
        return (
            f"{self.answered:,} answered, {clock(self.talk_ms)} of talk, "
            f"{self.billsec:,} billed seconds"
        )


@dataclass(frozen=True, slots=True)
class Long:
    """Sums of a list that is longer than `CAP`: for certain, or if most of a trunk's attempts are
    records of it, which only those are that were the last of their call."""

    sums: Totals
    certain: bool


class TotalsPaginator(CappedPaginator):
    """Adds records up in the query that counts them."""

    long: "Long | None" = None
    """What the hourly sums know of the list, where they know a long one."""

    @cached_property
    def known(self) -> Totals | None:
        """What the hourly sums know of the list, where it is longer than `CAP` for certain."""
        if self.long is None or not (self.long.certain or self._goes_on()):
            return None
        return self.long.sums

    def _goes_on(self) -> bool:
        """Whether there are more than `CAP`. Told by the index of a trunk alone: ten thousand of
        its records lie on as many pages of the table."""
        rows = cast("QuerySet[Cdr]", self.object_list).order_by().values("started_at")
        try:
            with limited(rows.db, paging.COUNT_TIMEOUT_MS):
                return rows[: paging.CAP + 1].count() > paging.CAP
        except OperationalError as error:
            if not was_too_slow(error):
                raise
            return False

    @cached_property
    def totals(self) -> Totals:
        """What the list adds up to, of the newest where it is long."""
        if self.known is not None:
            return Totals(calls=paging.CAP + 1)
        return totals(cast("QuerySet[Cdr]", self.object_list))

    @cached_property
    def count(self) -> int:
        # The admin pages through a record's history with this, too.
        if getattr(self.object_list, "model", None) is not Cdr:
            return super().count
        found = self.totals
        if found.since is None:
            return paging.Count(found.calls)
        return paging.Count.more_than(found.calls)


def totals(queryset: "QuerySet[Cdr]", now: datetime | None = None) -> Totals:
    """Add up: one more than `CAP` where there are more, or as far back as there is time for."""
    began = time.monotonic()
    newest = queryset.order_by("-started_at", "-id")[: paging.CAP + 1]
    try:
        with limited(queryset.db, paging.COUNT_TIMEOUT_MS):
            return _of(newest)
    except OperationalError as error:
        if not was_too_slow(error):
            raise
    # As long again: what took too long in one may still say something by pieces.
    return _by_pieces(queryset, began + 2 * paging.COUNT_TIMEOUT_MS / 1000, now or timezone.now())


def _by_pieces(queryset: "QuerySet[Cdr]", until_s: float, now: datetime) -> Totals:
    found, end = Totals(since=now), None
    for back in PIECES:
        piece = queryset.filter(started_at__gte=now - back)
        if end is not None:
            piece = piece.filter(started_at__lt=end)
        left_ms = int((until_s - time.monotonic()) * 1000)
        if left_ms <= 0 or found.calls > paging.CAP:
            break
        try:
            with limited(queryset.db, left_ms):
                found += _of(piece.order_by())
        except OperationalError as error:
            if not was_too_slow(error):
                raise
            break
        end = now - back
        found += Totals(since=end)
    return found


def _of(queryset: "QuerySet[Cdr]") -> Totals:
    found = queryset.aggregate(
        calls=Count("id"),
        answered=Count("id", filter=Q(answered_at__isnull=False)),
        talk_ms=Sum("talk_ms", default=0),
        billsec=Sum("billsec", default=0),
    )
    return Totals(**found)


def in_words(
    found: Totals,
    query: Mapping[str, Any],
    when: Callable[[datetime], str],
    known: Totals | None = None,
) -> str:
    """The totals of a list with this query string; ``when`` writes a moment, ``known`` is what
    the hourly sums know of one that is longer than `CAP`."""
    if found.since is not None:
        narrow = "Older ones would take too long here: narrow them down by filters."
        if not found.calls:
            return f"None since {when(found.since)}. {narrow}"
        return f"{found.calls:,} calls since {when(found.since)}: {found.sums}. {narrow}"
    if found.calls > paging.CAP:
        hours = known or by_the_hour(query, found.calls)
        if hours is not None and hours.since is not None and hours.least:
            more = f"More than {paging.CAP:,} calls."
            return f"{more} Since {when(hours.since)}, by the hour: {hours.sums}."
        if hours is not None and hours.since is not None:
            return f"{hours.calls:,} calls since {when(hours.since)}, by the hour: {hours.sums}."
        return f"More than {paging.CAP:,} calls. Of the newest {found.calls:,}: {found.sums}."
    return (
        f"{found.calls:,} call{'' if found.calls == 1 else 's'}: {found.sums}."
        if found.calls
        else ""
    )


def by_the_hour(
    query: Mapping[str, Any], at_least: int, now: datetime | None = None
) -> Totals | None:
    """The hourly sums of a window; None where they do not know what is asked for, or not yet."""
    hours = _hours(query, now)
    return hours.totals if hours is not None and hours.totals.calls >= at_least else None


def long_by_the_hour(query: Mapping[str, Any], now: datetime | None = None) -> Long | None:
    """What the hourly sums know of a list that may be longer than `CAP` by them; None of any other.

    Its window begins somewhere in their first hour, which is left out here.
    """
    hours = _hours(query, now)
    if hours is None or hours.sums.attempts <= paging.CAP:
        return None
    begun = of_key(hours.kind, hours.key, hours.since, hours.since + HOUR)
    if hours.sums.attempts - begun.attempts <= paging.CAP:
        return None
    certain = hours.totals.calls - _calls(hours.kind, begun) > paging.CAP
    return Long(hours.totals, certain)


@dataclass(frozen=True, slots=True)
class _Hours:
    """The hourly sums of a list's window."""

    kind: HourlyCalls.Kind
    key: str
    since: datetime
    sums: Sums

    @property
    def totals(self) -> Totals:
        calls, found = _calls(self.kind, self.sums), self.sums
        least = self.kind is HourlyCalls.Kind.TRUNK
        return Totals(
            calls, found.answered, found.talk_ms, found.billsec, since=self.since, least=least
        )


def _hours(query: Mapping[str, Any], now: datetime | None) -> _Hours | None:
    chosen, whose = chosen_window(query), _whose(query)
    asked = {name for name, value in query.items() if value}
    if asked - PLAIN or chosen == EVERYTHING or chosen not in WINDOWS or whose is None:
        return None
    now = now or timezone.now()
    first, last = hour_of(now - WINDOWS[chosen][1]), hour_of(now)
    return _Hours(*whose, first, of_key(*whose, first, last + HOUR))


def _whose(query: Mapping[str, Any]) -> tuple[HourlyCalls.Kind, str] | None:
    """Whose sums the list's are; None where it is of an account on a trunk."""
    account, trunk = ((query.get(name) or "").strip() for name in ("account", "trunk"))
    if account and trunk:
        return None
    if trunk:
        return HourlyCalls.Kind.TRUNK, trunk
    return HourlyCalls.Kind.ACCOUNT if account else HourlyCalls.Kind.ALL, account


def _calls(kind: HourlyCalls.Kind, sums: Sums) -> int:
    """How many records there are for certain. A trunk's sums count its attempts: it has the
    records of those that were answered, and of others only where it was the last to be tried."""
    return sums.answered if kind is HourlyCalls.Kind.TRUNK else sums.attempts
