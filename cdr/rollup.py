"""Adds the calls of each hour up, so that charts and reports read some hundred rows, not millions.

`due` notes, in the transaction that writes records, which hours they started in. A thread of the
records worker adds such an hour up from its records, whole, and replaces what it said before: to
do it twice, or by two workers, changes nothing. A record written in the same moment has put
another stamp on the hour, which then stays due.

One hour of 180,000 calls (50 a second) takes about a second of the database, so the busier the
switch the longer the pause between two times: see `SHARE`.
"""

import logging
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import (
    Error,
    IntegrityError,
    close_old_connections,
    connections,
    transaction,
)
from django.db.models import Count, IntegerField, Q, Sum, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce

from cdr.archive import has_left
from cdr.models import Cdr, CdrAttempt, HourDue, HourlyCalls
from cdr.rates import BINS, NEVER_DIALLED, PDD_EDGES_MS, Sums, cause
from cdr.record import Disposition, Outcome
from cdr.sums import BIN_COLUMNS

HOUR = timedelta(hours=1)
PAUSE_S = 2.0
"""Shortest time between two looks for hours that are due."""
DAYS_PAUSE_S = 60.0
"""Longest time between two looks for days that are over, while no hour is due."""
SHARE = 0.02
"""Share of its time that the adding up may take, so that it never competes with the records."""
HOURS_AT_ONCE = 24
DAYS = 35
"""Days back that are added up: those of the longest report."""
DAYS_AT_ONCE = 5
ROWS_AT_ONCE = 5_000
FILLING_S = 1.0
"""How long a look goes on with rows that the version before wrote, about."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Span = HourlyCalls.Span
Key = tuple[str, str]
"""Kind and whose: ``("account", "acme")``."""

logger = logging.getLogger(__name__)


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour, in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def due(hours: Iterable[datetime]) -> None:
    """Note that these hours have new records; part of the transaction that writes them."""
    rows = [
        # Unique enough: a stamp only has to differ from the one before it.
        HourDue(hour=hour, stamp=random.getrandbits(62))
        for hour in sorted(set(hours))
    ]
    HourDue.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["hour"], update_fields=["stamp"]
    )


def all_due() -> int:
    """Have every hour from the first record to the last added up again; returns how many."""
    first = Cdr.objects.order_by("started_at", "id").first()
    last = Cdr.objects.order_by("-started_at", "-id").first()
    if first is None or last is None:
        return 0
    begin = hour_of(first.started_at)
    count = (hour_of(last.started_at) - begin) // HOUR + 1
    due(begin + HOUR * number for number in range(count))
    return count


class Rollup:
    """Adds up what is due, in a thread of its own."""

    def __init__(self) -> None:
        self._days_s = float("-inf")
        """When it last looked for days."""

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop`` is set. A database that is away is waited for."""
        try:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    close_old_connections()
                    self.look()
                except Error as error:
                    logger.warning("Hours of calls could not be added up, again soon: %s", error)
                stop.wait(max(PAUSE_S, (time.monotonic() - began) / SHARE))
        finally:
            connections.close_all()

    def look(self) -> None:
        """Add up what is due. Raises ``django.db.Error``."""
        # Days become due with their hours, or by the clock.
        now_s = time.monotonic()
        if now_s < self._days_s + DAYS_PAUSE_S and not HourDue.objects.exists():
            return
        if fill_bins():
            # There may be more; and a day must not be added up of hours without bins.
            return
        add_up()
        self._days_s = now_s


def fill_bins() -> int:
    """Give the rows of the version before, or some of them, their columns of bins, days and the
    latest first; returns how many. Raises ``django.db.Error``.
    """
    began, filled = time.monotonic(), 0
    while time.monotonic() < began + FILLING_S:
        bare = HourlyCalls.objects.filter(pdd_0__isnull=True).order_by("span", "-hour")
        some = list(bare.values_list("pk", flat=True)[:ROWS_AT_ONCE])
        if not some:
            break
        filled += HourlyCalls.objects.filter(pk__in=some).update(
            **{
                name: Coalesce(Cast(KT(f"pdd__{number}"), IntegerField()), Value(0))
                for number, name in enumerate(BIN_COLUMNS)
            }
        )
    return filled


def add_up(most: int = HOURS_AT_ONCE) -> int:
    """Add up the hours that are due, the latest first; returns how many were.

    Raises ``django.db.Error``.
    """
    waiting = list(HourDue.objects.order_by("-hour")[:most])
    for each in waiting:
        if has_left(each.hour):
            # What is left of the hour would take the place of the whole hour's sums.
            logger.error("%s: a record came after its month was archived; sums stay.", each)
            HourDue.objects.filter(hour=each.hour, stamp=each.stamp).delete()
            continue
        try:
            _replace(each.hour, Span.HOUR, of_hour(each.hour))
            _without_its_day(each.hour)
        except IntegrityError:
            # Another worker adds the same hour up in this moment.
            continue
        HourDue.objects.filter(hour=each.hour, stamp=each.stamp).delete()
    if len(waiting) < most:
        _add_up_days()
    return len(waiting)


def day_of(moment: datetime) -> datetime:
    """The beginning of the day, in UTC."""
    return hour_of(moment).replace(hour=0)


def _without_its_day(hour: datetime) -> None:
    """Take the day's sums away until they are made again: readers then take its hours'."""
    HourlyCalls.objects.filter(
        span=Span.DAY, hour=day_of(hour), kind__in=HourlyCalls.Kind.values
    ).delete()


def _add_up_days() -> None:
    """Add up the days that are over and were not yet, from their hours."""
    everybody = HourlyCalls.objects.filter(kind=HourlyCalls.Kind.ALL, key="")
    today = day_of(datetime.now(UTC))
    since = today - timedelta(days=DAYS)
    there = {"hour__gte": since, "hour__lt": today}
    hours = everybody.filter(span=Span.HOUR, **there).values_list("hour", flat=True)
    days = everybody.filter(span=Span.DAY, **there).values_list("hour", flat=True)
    for day in sorted({day_of(hour) for hour in hours} - set(days), reverse=True)[:DAYS_AT_ONCE]:
        _replace(day, Span.DAY, of_day(day))


def of_day(day: datetime) -> dict[Key, Sums]:
    """What became of the calls that started on this day, from the sums of its hours."""
    found: dict[Key, Sums] = defaultdict(Sums)
    rows = HourlyCalls.objects.filter(
        span=Span.HOUR, hour__gte=day, hour__lt=day + timedelta(days=1)
    )
    for row in rows.order_by().iterator(chunk_size=2_000):
        found[row.kind, row.key].add(sums_in(row))
    return dict(found)


def sums_in(row: HourlyCalls) -> Sums:
    """What a row says, whichever version wrote it."""
    return Sums(
        attempts=row.attempts,
        seizures=row.seizures,
        answered=row.answered,
        effective=row.effective,
        talk_ms=row.talk_ms,
        billsec=row.billsec,
        pdd=list(row.pdd),
        causes=Counter(row.causes),
    )


def of_hour(hour: datetime) -> dict[Key, Sums]:
    """What became of the calls that started in this hour, by whose they are."""
    found: dict[Key, Sums] = defaultdict(Sums)
    kind = HourlyCalls.Kind
    for row in _calls(hour):
        sums = _sums(row)
        for key in (
            (kind.ALL.value, ""),
            (kind.ACCOUNT.value, row["account"]),
            (kind.PREFIX.value, row["prefix"]),
        ):
            found[key].add(sums)
    for row in _attempts(hour):
        found[kind.TRUNK.value, row["trunk"]].add(_sums(row))
    return dict(found)


def _calls(hour: datetime) -> Iterable[Mapping[str, Any]]:
    rang = Q(ringing_at__isnull=False) | Q(progress_at__isnull=False)
    dialled = ~Q(trunk="") & ~Q(disposition__in=NEVER_DIALLED)
    answered = Q(answered_at__isnull=False)
    effective = (
        answered
        | Q(disposition=Disposition.BUSY.value)
        | (rang & Q(disposition__in=(Disposition.NO_ANSWER.value, Disposition.CANCELLED.value)))
        | Q(disposition=Disposition.REJECTED.value, sip_code__gte=600)
    )
    return (
        Cdr.objects.filter(started_at__gte=hour, started_at__lt=hour + HOUR)
        .order_by()
        .values("account", "prefix", "q850_cause", "sip_code")
        .annotate(
            count=Count("id"),
            seized=Count("id", filter=dialled),
            answered=Count("id", filter=answered),
            effective=Count("id", filter=dialled & effective),
            talk=Sum("talk_ms", default=0),
            billed=Sum("billsec", default=0),
            **_bins(),
        )
    )


def _attempts(hour: datetime) -> Iterable[Mapping[str, Any]]:
    answered = Q(answered_at__isnull=False)
    effective = (
        answered
        | Q(ringing_at__isnull=False)
        | Q(progress_at__isnull=False)
        | Q(q850_cause=17)
        | Q(sip_code__in=(486, 600))
        | Q(sip_code__gte=603)
    )
    return (
        CdrAttempt.objects.filter(
            outcome=Outcome.DIALLED.value,
            cdr__started_at__gte=hour,
            cdr__started_at__lt=hour + HOUR,
        )
        .order_by()
        .values("trunk", "q850_cause", "sip_code")
        .annotate(
            count=Count("id"),
            seized=Count("id"),
            answered=Count("id", filter=answered),
            effective=Count("id", filter=effective),
            talk=Sum("cdr__talk_ms", filter=answered, default=0),
            billed=Sum("cdr__billsec", filter=answered, default=0),
            **_bins(),
        )
    )


def _bins() -> dict[str, Count]:
    edges = (-1, *PDD_EDGES_MS)
    bins = {
        f"bin{number}": Count("id", filter=Q(pdd_ms__gt=lower, pdd_ms__lte=upper))
        for number, (lower, upper) in enumerate(zip(edges, PDD_EDGES_MS, strict=False))
    }
    return bins | {f"bin{BINS - 1}": Count("id", filter=Q(pdd_ms__gt=PDD_EDGES_MS[-1]))}


def _sums(row: Mapping[str, Any]) -> Sums:
    sums = Sums(
        attempts=row["count"],
        seizures=row["seized"],
        answered=row["answered"],
        effective=row["effective"],
        talk_ms=row["talk"],
        billsec=row["billed"],
        pdd=[row[f"bin{number}"] for number in range(BINS)],
    )
    unanswered = row["count"] - row["answered"]
    if unanswered:
        sums.causes[cause(row["q850_cause"], row["sip_code"])] = unanswered
    return sums


def _replace(hour: datetime, span: HourlyCalls.Span, found: dict[Key, Sums]) -> None:
    with transaction.atomic():
        HourlyCalls.objects.filter(span=span, hour=hour, kind__in=HourlyCalls.Kind.values).delete()
        HourlyCalls.objects.bulk_create(
            HourlyCalls(
                span=span,
                hour=hour,
                kind=kind,
                key=key,
                attempts=sums.attempts,
                seizures=sums.seizures,
                answered=sums.answered,
                effective=sums.effective,
                talk_ms=sums.talk_ms,
                billsec=sums.billsec,
                pdd=sums.pdd,
                causes=dict(sums.causes),
                **dict(zip(BIN_COLUMNS, sums.pdd, strict=True)),
            )
            for (kind, key), sums in sorted(found.items())
        )
