"""Looks at every account's last hour in the call records, and raises alarms.

Calls that are up are not in the records yet: what they may cost is held by limits, and a burst of
them shows as soon as the first end. A look costs two aggregates over the last hour's records, and
one over an account's history where the hour is much in itself.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Substr, TruncHour
from django.utils import timezone

from calls.alarms.jumps import AT_LEAST, HISTORY_DAYS, Hour, Jump, jumps
from calls.models import Alarm
from calls.routing.numbers import country_of
from calls.store import outbox
from cdr.models import Cdr
from cdr.rounds import in_rounds

EVERY_S = 300.0
"""Between two looks of the records worker."""
QUIET = timedelta(hours=6)
"""How long the same kind of jump of the same account is no news."""

logger = logging.getLogger(__name__)


def watch(now: datetime | None = None) -> list[Alarm]:
    """Look once, and give the alarms that are new. Raises django.db.Error."""
    now = now or timezone.now()
    hours = _hours(now - timedelta(hours=1), now)
    busy = {
        account: hour
        for account, hour in hours.items()
        if any(hour.of(kind) >= least for kind, least in AT_LEAST.items())
    }
    raised = [_raise(jump, now) for jump in jumps(busy, _history(busy, now))]
    return [alarm for alarm in raised if alarm is not None]


def _hours(begin: datetime, end: datetime) -> dict[str, Hour]:
    records = Cdr.objects.filter(started_at__gte=begin, started_at__lt=end).exclude(account="")
    rows = records.values("account", start=Substr("callee_normalised", 1, 3)).annotate(
        many=Sum("calls"), talked=Sum("talk_ms")
    )
    calls: defaultdict[str, int] = defaultdict(int)
    talked: defaultdict[str, int] = defaultdict(int)
    countries: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        calls[row["account"]] += row["many"]
        talked[row["account"]] += row["talked"]
        if len(row["start"]) == 3:
            countries[row["account"]].add(country_of(row["start"]))
    return {
        account: Hour(many, len(countries[account]), talked[account] // 60_000)
        for account, many in calls.items()
    }


def _history(accounts: Collection[str], now: datetime) -> Mapping[str, Sequence[Hour]]:
    """The hours before the last one in which these accounts called."""
    begin, end = now - timedelta(days=HISTORY_DAYS), now - timedelta(hours=1)
    found: dict[str, list[Hour]] = {}
    for account in accounts:
        records = Cdr.objects.filter(account=account, started_at__gte=begin, started_at__lt=end)
        rows = records.values(
            hour=TruncHour("started_at"), start=Substr("callee_normalised", 1, 3)
        ).annotate(many=Sum("calls"), talked=Sum("talk_ms"))
        hours: defaultdict[datetime, list[tuple[str, int, int]]] = defaultdict(list)
        for row in rows:
            hours[row["hour"]].append((row["start"], row["many"], row["talked"]))
        found[account] = [
            Hour(
                sum(many for _, many, _ in parts),
                len({country_of(start) for start, _, _ in parts if len(start) == 3}),
                sum(talk for _, _, talk in parts) // 60_000,
            )
            for parts in hours.values()
        ]
    return found


def _raise(jump: Jump, now: datetime) -> Alarm | None:
    """Note the alarm and log it, unless it is no news."""
    known = Alarm.objects.filter(account=jump.account, kind=jump.kind, at__gt=now - QUIET)
    if known.exists():
        return None
    logger.warning(
        'Alarm: %s. Look at its calls; the action "End all calls and disable" on its page stops '
        "it at once.",
        jump.sentence,
    )
    with transaction.atomic():
        alarm = Alarm.objects.create(
            account=jump.account, kind=jump.kind, at=now, seen=jump.seen, usual=jump.usual
        )
        outbox.alarmed(alarm, jump.sentence)
    return alarm


class Watch:
    """Looks again and again, in a thread of the records worker."""

    def run(self, stop: threading.Event) -> None:
        """Look every `EVERY_S` seconds until ``stop`` is set."""
        in_rounds(
            watch,
            stop,
            EVERY_S,
            lambda error: logger.error("Accounts could not be watched: %s", error),
        )
