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

from calls.limits.rules import Book, LimitRow, Metric, Scope, Window, rule_of
from calls.policy import policy
from calls.routing.choice import AccountRow, Unproven, choose
from calls.store.limit_book import read_book
from calls.store.lookup import look_up_many
from calls.whatif.replay import Decision, PastCall
from calls.whatif.replay_limits import under_limits
from cdr.models import Cdr
from cdr.moments import moment_of, ms_of

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
    others: dict[tuple[str, str], tuple[AccountRow, ...]]
    """Of accounts and the numbers that their trunks would be sent in place of the dialled ones."""
    book: Book
    used: dict[tuple[str, str], int]

    @classmethod
    def take(cls, calls: Sequence[PastCall]) -> "Snapshot":
        """Read it as it stands now, in the transaction that is open."""
        book = read_book()
        rows = look_up_many([call.question for call in calls])
        others = _rows_of_numbers_sent(calls, rows)
        return cls(rows, others, book, _used_before(calls, book))

    def decisions(self, calls: Sequence[PastCall]) -> list[Decision]:
        """What it decides of each call, in their order."""
        found = (_decided(call, self.rows, self.others) for call in calls)
        return under_limits(calls, found, self.book, self.used)


_Others = dict[tuple[str, str], tuple[AccountRow, ...]]


def _rows_of_numbers_sent(
    calls: Sequence[PastCall], rows: dict[tuple[str, str, str], tuple[AccountRow, ...]]
) -> _Others:
    """The rows of every number that a choice about these calls asks for besides the dialled one."""
    others: _Others = {}
    while True:
        missing: dict[tuple[str, str], None] = {}
        for call in calls:
            found = _chosen(call, rows, others)
            if isinstance(found, Unproven):
                missing |= dict.fromkeys((call.account, number) for number in found.numbers)
        if not missing:
            return others
        answers = look_up_many([(code, f"+{number}", "") for code, number in missing])
        others |= {(code, number): answers[code, f"+{number}", ""] for code, number in missing}


def _chosen(
    call: PastCall, rows: dict[tuple[str, str, str], tuple[AccountRow, ...]], others: _Others
) -> Decision | Unproven:
    of_account = {number: found for (code, number), found in others.items() if code == call.account}
    return choose(
        call.facts,
        rows[call.question],
        settings.MAX_CALL_S,
        policy=policy(),
        others=of_account,
    )


def _decided(
    call: PastCall, rows: dict[tuple[str, str, str], tuple[AccountRow, ...]], others: _Others
) -> Decision:
    found = _chosen(call, rows, others)
    assert not isinstance(found, Unproven)  # noqa: S101 - take() asked until none was
    return found


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
    until = moment_of(until_ms, ZoneInfo(row.time_zone))
    begin = until.replace(hour=0, minute=0, second=0, microsecond=0)
    if row.window == Window.MONTH:
        begin = begin.replace(day=1)
    whose = {
        Scope.ACCOUNT: Q(account=row.whose),
        Scope.PREFIX: Q(callee_normalised__startswith=row.whose),
    }.get(row.scope, Q())
    calls = Cdr.objects.filter(
        whose, started_at__gte=begin.astimezone(UTC), started_at__lt=until.astimezone(UTC)
    )
    talked: int | None = calls.aggregate(talked=Sum("talk_ms"))["talked"]
    return talked or 0


def _ms(moment: datetime) -> int:
    return ms_of(moment)
