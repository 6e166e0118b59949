"""Reports: how accounts, trunks, prefixes and hours did, from the hourly sums; the worst first."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from cdr.cells import guarded
from cdr.display import clock, moment
from cdr.models import HourlyCalls
from cdr.pages import page, permitted
from cdr.rates import Sums, worst_causes
from cdr.rollup import HOUR, hour_of
from cdr.sums import by_hour, by_key, causes_by_hour, causes_by_key, total

GROUPS = {"trunk": "Trunk", "account": "Account", "prefix": "Prefix", "hour": "Hour"}
WINDOWS = {"6h": 6, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}
LABELS = {"6h": "6 hours", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
MOST = 100
"""Rows of a page; the export has all."""
ENOUGH = 10
"""Seizures below which a rate says little: such rows come after those that say more."""
CAUSES = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of a report; ``worst_low`` says at which end of it trouble is."""

    title: str
    value: Callable[[Sums], float | None]
    shown: Callable[[float], str]
    worst_low: bool = False
    rate: bool = False


def _percent(value: float) -> str:
    return f"{value:.1f} %"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _seconds(value: float) -> str:
    return f"{value / 1000:.2f} s"


COLUMNS = {
    "attempts": Column("Attempts", lambda sums: sums.attempts, _count),
    "seizures": Column("Dialled", lambda sums: sums.seizures, _count),
    "answered": Column("Answered", lambda sums: sums.answered, _count),
    "asr": Column("ASR", lambda sums: sums.asr, _percent, worst_low=True, rate=True),
    "ner": Column("NER", lambda sums: sums.ner, _percent, worst_low=True, rate=True),
    "acd": Column(
        "ACD",
        lambda sums: sums.acd_s,
        lambda value: clock(round(value * 1000)),
        worst_low=True,
        rate=True,
    ),
    "pdd50": Column("PDD 50 %", lambda sums: sums.pdd_ms(50), _seconds, rate=True),
    "pdd95": Column("PDD 95 %", lambda sums: sums.pdd_ms(95), _seconds, rate=True),
    "minutes": Column("Minutes", lambda sums: sums.minutes, lambda value: f"{value:,.1f}"),
}
SORT = "ner"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a report."""

    key: str
    title: str
    cells: tuple[str, ...]
    causes: str
    link: str


@require_safe
@permitted("cdr.view_cdr")
def reports_page(request: HttpRequest) -> HttpResponse:
    """The report that the address asks for; what it does not understand is left out."""
    asked = _asked(request)
    by, window = asked["by"], Window.back(WINDOWS[asked["window"]])
    found = _rows(by, window)
    ordered = in_order(found, asked["sort"], reverse_order=asked["turned"])
    if request.GET.get("form") == "csv":
        if not request.user.has_perm("cdr.export_cdr"):
            raise PermissionDenied
        return _csv(by, ordered, _causes(by, window))
    shown, records = ordered[:MOST], reverse("admin:cdr_cdr_changelist")
    causes = _causes(by, window, [key for key, _ in shown])
    context = {
        "groups": [(name, label, _address(asked, by=name)) for name, label in GROUPS.items()],
        "windows": [(name, LABELS[name], _address(asked, window=name)) for name in WINDOWS],
        "asked": asked,
        "group": GROUPS[asked["by"]],
        "headers": [
            {
                "title": column.title,
                "sorted": name == asked["sort"],
                "address": _address(
                    asked, sort=name, turned=name == asked["sort"] and not asked["turned"]
                ),
            }
            for name, column in COLUMNS.items()
        ],
        "lines": [_line(by, key, sums, causes.get(key, {}), records) for key, sums in shown],
        "more": len(ordered) - MOST,
        "total": _cells(total(found.values())) if asked["by"] != "trunk" and found else (),
        "csv": _address(asked) + "&form=csv",
        "enough": ENOUGH,
        "may_export": request.user.has_perm("cdr.export_cdr"),
    }
    return page(request, "cdr/reports.html", "Reports", context)


def in_order(
    found: dict[str, Sums], sort: str, *, reverse_order: bool = False
) -> list[tuple[str, Sums]]:
    """Rows by a column, the worst first; a rate of too few calls, and one that is not, last."""
    column = COLUMNS[sort]

    def place(row: tuple[str, Sums]) -> tuple[int, float, str]:
        key, sums = row
        value = column.value(sums)
        if value is None:
            return 2, 0, key
        few = column.rate and sums.seizures < ENOUGH
        ascending = column.worst_low is not reverse_order
        return int(few), value if ascending else -value, key

    return sorted(found.items(), key=place)


def _asked(request: HttpRequest) -> dict[str, Any]:
    def choice(name: str, known: Any, otherwise: str) -> str:
        value = request.GET.get(name, otherwise)
        return value if value in known else otherwise

    return {
        "by": choice("by", GROUPS, "trunk"),
        "window": choice("window", WINDOWS, "24h"),
        "sort": choice("sort", COLUMNS, SORT),
        "turned": request.GET.get("turned") == "1",
    }


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of a report, both included."""

    first: datetime
    last: datetime

    @classmethod
    def back(cls, hours: int) -> "Window":
        """So many of them until now."""
        last = hour_of(timezone.now())
        return cls(last - HOUR * (hours - 1), last)


def _rows(by: str, window: Window) -> dict[str, Sums]:
    if by != "hour":
        return by_key(HourlyCalls.Kind(by), window.first, window.last + HOUR)
    found = by_hour(HourlyCalls.Kind.ALL, "", window.first, window.last)
    return {hour.isoformat(): sums for hour, sums in found.items()}


def _causes(by: str, window: Window, keys: Sequence[str] | None = None) -> dict[str, Counter[str]]:
    if by != "hour":
        return causes_by_key(HourlyCalls.Kind(by), window.first, window.last + HOUR, keys)
    found = causes_by_hour(HourlyCalls.Kind.ALL, "", window.first, window.last)
    return {hour.isoformat(): causes for hour, causes in found.items()}


def _cells(sums: Sums) -> tuple[str, ...]:
    values = [(column, column.value(sums)) for column in COLUMNS.values()]
    return tuple("-" if value is None else column.shown(value) for column, value in values)


def _line(by: str, key: str, sums: Sums, causes: Mapping[str, int], records: str) -> Line:
    """``records`` is the address of their list."""
    worst = ", ".join(f"{cause} ({n:,})" for cause, n in worst_causes(causes, CAUSES))
    title, query = key or "none", {by: key, "window": "7d"}
    if by == "hour":
        begin = datetime.fromisoformat(key)
        title, query = moment(begin), _of_hour(begin)
    if by == "prefix":
        query = {"q": key, "window": "7d"}
    link = f"{records}?{urlencode(query)}" if key else ""
    return Line(key, title, _cells(sums), worst, link)


def _of_hour(begin: datetime) -> dict[str, str]:
    first = timezone.localtime(begin)
    last = first + HOUR - timedelta(seconds=1)
    return {
        f"started_at_{end}_{part}": text
        for end, at in (("from", first), ("to", last))
        for part, text in (("0", f"{at:%Y-%m-%d}"), ("1", f"{at:%H:%M:%S}"))
    }


def _address(asked: dict[str, Any], **changes: Any) -> str:
    query = asked | changes
    query["turned"] = "1" if query["turned"] else ""
    shown = {name: value for name, value in query.items() if value}
    return f"{reverse('reports')}?{urlencode(shown)}"


def _csv(
    by: str, ordered: Sequence[tuple[str, Sums]], causes: Mapping[str, Mapping[str, int]]
) -> HttpResponse:
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow([by, *COLUMNS, "causes"])
    for key, sums in ordered:
        values = [column.value(sums) for column in COLUMNS.values()]
        of_key = causes.get(key, {})
        worst = " ".join(f"{cause}:{n}" for cause, n in worst_causes(of_key, len(of_key)))
        rounded = ["" if value is None else round(value, 3) for value in values]
        writer.writerow([guarded(key), *rounded, worst])
    return HttpResponse(
        "\ufeff" + lines.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="report-by-{by}.csv"'},
    )
