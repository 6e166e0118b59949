"""Filters of the list of call records; each keeps to an index or to the time window."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.contrib.filters.admin import RangeDateTimeFilter, TextFilter

from cdr.search import Kind, parse

WINDOWS = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
}
DEFAULT_WINDOW = "24h"
YEARS = range(1970, 3000)
"""In which calls may have been."""
EVERYTHING = "all"


def chosen_window(query: Mapping[str, Any]) -> str:
    """Return the key of the time window that a list's query string asks for.

    The last 24 hours unless another window or a range of dates is chosen; a search for a call id
    looks at all times, as it finds one row by its own index.
    """
    chosen = query.get("window")
    if chosen is not None and (chosen in WINDOWS or chosen == EVERYTHING):
        return str(chosen)
    by_dates = any(query.get(f"started_at_{end}_0") for end in ("from", "to"))
    by_call_id = parse(query.get("q", "")).kind in (Kind.CALL_ID, Kind.SIP_CALL_ID)
    return EVERYTHING if by_dates or by_call_id else DEFAULT_WINDOW


def describe_window(query: Mapping[str, Any]) -> str:
    """Say in a sentence which calls a list with this query string looks at."""
    chosen = chosen_window(query)
    if chosen in WINDOWS:
        return f"Calls started in the {WINDOWS[chosen][0]}. Choose other times under Filters."
    if any(query.get(f"started_at_{end}_0") for end in ("from", "to")):
        return "Calls started in the chosen range of dates."
    return "Calls of all times."


class WindowFilter(admin.SimpleListFilter):
    """The time window, see :func:`chosen_window`."""

    title = "time"
    parameter_name = "window"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((key, label) for key, (label, _) in WINDOWS.items()), (EVERYTHING, "all")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        chosen = chosen_window(changelist.params | self.used_parameters)
        for key, label in self.lookup_choices:
            yield {
                "selected": key == chosen,
                "query_string": changelist.get_query_string({self.parameter_name: key}),
                "display": label,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        window = WINDOWS.get(chosen_window(request.GET))
        if window is None:
            return queryset
        return queryset.filter(started_at__gte=timezone.now() - window[1])


class StartedFilter(RangeDateTimeFilter):
    """A range of dates in the viewer's zone; a date without a time of day means the whole day.

    What is no date is left out, as the form's fields offer none; so is a year in which no call can
    have been, as the first and the last that Python knows have no other zone's time.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first = self._moment("from", "00:00:00")
        last = self._moment("to", "23:59:59.999999")
        if first:
            queryset = queryset.filter(started_at__gte=first)
        if last:
            queryset = queryset.filter(started_at__lte=last)
        return queryset

    def _moment(self, end: str, otherwise: str) -> datetime | None:
        date, time = (
            self.used_parameters.get(f"{self.parameter_name}_{end}_{part}") for part in (0, 1)
        )
        try:
            moment = parse_datetime(f"{date} {time or otherwise}")
        except ValueError:
            return None
        if moment is None or moment.year not in YEARS:
            return None
        return timezone.make_aware(moment)


class ExactFilter(TextFilter):
    """One value, typed in whole: a list of all values would read the whole table."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = (self.value() or "").strip()
        if not value:
            return queryset
        return queryset.filter(**{str(self.parameter_name): value})


class AccountFilter(ExactFilter):
    title = "account"
    parameter_name = "account"


class TrunkFilter(ExactFilter):
    title = "trunk"
    parameter_name = "trunk"


class CanaryFilter(ExactFilter):
    title = "canary"
    parameter_name = "canary"
