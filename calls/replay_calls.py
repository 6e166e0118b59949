"""The last calls, and what a configuration decides of them: what a replay reads of the database.

Everything here leaves an open transaction be, so that it reads a change that is not committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, Sum

from calls.limit_book import read_book
from calls.limit_rules import Book, LimitRow, Metric, Scope, Window, rule_of
from calls.lookup import look_up_many
from calls.replay import Decision, PastCall
from calls.replay_limits import under_limits
from calls.routing import AccountRow, choose
from cdr.models import Cdr

_FIELDS = (
    "id",
    "call_id",
    "started_at",
    "account",
    "callee_received",
    "caller_received",
    "ended_at",
    "talk_ms",
)


def past_calls(number: int) -> list[PastCall]:
    """The last calls that there are records of, the newest first."""
    rows = Cdr.objects.order_by("-started_at", "-id").values_list(*_FIELDS)
    return [
        PastCall(pk, call_id, _ms(started), account, callee, caller, _ms(ended), talk_ms)
        for pk, call_id, started, account, callee, caller, ended, talk_ms in rows[:number]
    ]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of a configuration that decides about these calls."""

    rows: dict[tuple[str, str, str], tuple[AccountRow, ...]]
    book: Book
    used: dict[tuple[str, str], int]

    @classmethod
    def take(cls, calls: Sequence[PastCall]) -> "Snapshot":
        """Read it as it stands now, in the transaction that is open."""
        book = read_book()
        return cls(look_up_many([call.question for call in calls]), book, _used_before(calls, book))

    def decisions(self, calls: Sequence[PastCall]) -> list[Decision]:
        """What it decides of each call, in their order."""
        found = (
            choose(call.facts, self.rows[call.question], settings.MAX_CALL_S) for call in calls
        )
        return under_limits(calls, found, self.book, self.used)


def _used_before(calls: Sequence[PastCall], book: Book) -> dict[tuple[str, str], int]:
    """What had been talked in the windows of minutes when the first of the calls began."""
    if not calls:
        return {}
    first_ms = min(call.started_ms for call in calls)
    accounts = {call.account for call in calls}
    rows = chain(
        book.everybody,
        *(limits for code, limits in book.accounts.items() if code in accounts),
        *book.prefixes.values(),
    )
    used = {}
    for row in rows:
        if row.metric is Metric.MINUTES:
            rule = rule_of(row, first_ms)
            used[rule.window, rule.subject] = _talked(row, first_ms)
    return used


def _talked(row: LimitRow, until_ms: int) -> int:
    until = datetime.fromtimestamp(until_ms / 1000, ZoneInfo(row.time_zone))
    begin = until.replace(hour=0, minute=0, second=0, microsecond=0)
    if row.window == Window.MONTH:
        begin = begin.replace(day=1)
    whose = {
        Scope.ACCOUNT: Q(account=row.target),
        Scope.PREFIX: Q(callee_normalised__startswith=row.target),
    }.get(row.scope, Q())
    calls = Cdr.objects.filter(
        whose, started_at__gte=begin.astimezone(UTC), started_at__lt=until.astimezone(UTC)
    )
    talked: int | None = calls.aggregate(talked=Sum("talk_ms"))["talked"]
    return talked or 0


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
