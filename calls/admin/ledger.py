"""The ledger in the admin: whether every call that began has its record, and what was set aside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import redis
from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from calls.store.ledger import Ledger, Listed, ledger
from calls.store.set_aside import Entry, Kind, Settled, drop, retry
from calls.text import printable
from cdr.display import Form, moment
from cdr.errors import first_line
from cdr.links import story_url
from cdr.moments import moment_of
from cdr.pages import page, permitted

AWAY = "The ledger cannot be made up: Redis (REDIS_URL) does not answer."
SHOWN_BYTES = 300
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2999, 12, 31)


@dataclass(frozen=True)
class Line:
    """Calls of one kind, as the page lists them."""

    title: str
    why: str
    count: int
    calls: Sequence[Listed]
    bad: bool = True

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Call id, its story's address, and when it began."""
        return [
            (each.call, story_url(each.call), str(moment(each.begun_at, Form.SECONDS)))
            for each in self.calls
        ]

    @property
    def more(self) -> int:
        return self.count - len(self.calls)


@dataclass(frozen=True)
class Aside:
    """One entry that was set aside, as the page shows it."""

    entry: Entry

    @property
    def at(self) -> str:
        return str(moment(moment_of(self.entry.at_ms), Form.SECONDS))

    @property
    def story(self) -> str:
        return story_url(self.entry.call) if self.entry.call else ""

    @property
    def data(self) -> str:
        shown = printable(self.entry.data[:SHOWN_BYTES].decode(errors="replace"))
        return shown + ("…" if len(self.entry.data) > SHOWN_BYTES else "")

    @property
    def may_be_retried(self) -> bool:
        return self.entry.kind is not Kind.DOUBLE


@require_http_methods(["GET", "HEAD", "POST"])
@permitted("cdr.view_cdr")
def ledger_page(request: HttpRequest) -> HttpResponseBase:
    """The ledger of a day, and what is set aside."""
    if request.method == "POST":
        return _settle(request)
    day = _day(request.GET.get("day", ""))
    context: dict[str, Any] = {
        "day": day,
        "previous": day - timedelta(1),
        "next": day + timedelta(1),
    }
    try:
        found = ledger(day)
    except redis.RedisError:
        return page(request, "calls/ledger.html", "Ledger", context | {"away": AWAY}, status=503)
    except (DatabaseError, InterfaceError) as error:
        away = f"The ledger cannot be made up: the database does not answer ({first_line(error)})."
        return page(request, "calls/ledger.html", "Ledger", context | {"away": away}, status=503)
    return page(request, "calls/ledger.html", "Ledger", context | _shown(request, found))


def _shown(request: HttpRequest, found: Ledger) -> dict[str, Any]:
    lines = [
        Line(
            "Missing",
            "begun, not up, and without a record",
            found.missing_count,
            found.missing,
        ),
        Line(
            "Rejected",
            "what there was of them is set aside, below",
            len(found.rejected),
            found.rejected,
        ),
        Line(
            "Without a begin",
            "records of calls of which nobody noted that they began",
            found.unnoted_count,
            found.unnoted,
        ),
        Line(
            "Recovered",
            "something was found by looking, not heard; their records are whole",
            found.recovered_count,
            found.recovered,
            bad=False,
        ),
    ]
    counts = {
        "begun": found.begun,
        "= written": found.written,
        "+ up": found.up,
        "+ waiting for the database": found.waiting,
        "+ rejected": len(found.rejected),
        "+ missing": found.missing_count,
    }
    return {
        "ledger": found,
        "balance": [(title, f"{count:,}") for title, count in counts.items()],
        "lines": [line for line in lines if line.count],
        "aside": [Aside(entry) for entry in found.aside],
        "may_settle": request.user.has_perm("cdr.settle_cdr"),
    }


@permitted("cdr.view_cdr", "cdr.settle_cdr")
def _settle(request: HttpRequest) -> HttpResponse:
    """Retry or drop the entries that are ticked."""
    back = HttpResponseRedirect(reverse("ledger"))
    keys = request.POST.getlist("entry")
    dropping = request.POST.get("what") == "drop"
    if not keys:
        messages.warning(request, "Tick what is to be retried or dropped.")
        return back
    if dropping and "sure" not in request.POST:
        messages.warning(request, "Tick that you are sure: what is dropped stands in the log only.")
        return back
    try:
        settled = drop(keys) if dropping else retry(keys)
    except redis.RedisError:
        messages.error(request, AWAY)
        return back
    _record(request, keys, settled, dropping)
    return back


def _record(request: HttpRequest, keys: Sequence[str], settled: Settled, dropping: bool) -> None:
    what = "Dropped" if dropping else "Handed over again:"
    if settled.done:
        messages.success(request, f"{what} {settled.done} of the entries set aside.")
    for sentence in settled.left:
        messages.error(request, printable(sentence))
    LogEntry.objects.create(
        user_id=cast(int, request.user.pk),
        object_repr=f"{settled.done} entries set aside",
        action_flag=DELETION if dropping else CHANGE,
        change_message=f"{what} {', '.join(keys)}"[:2000],
    )


def _day(text: str) -> date:
    """The day that is asked for, today where it is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC).date()
    return min(max(day, FIRST_DAY), LAST_DAY)
