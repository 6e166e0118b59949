"""The live calls in the admin: who talks to whom, and an end to it where somebody says so."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from operator import attrgetter
from typing import Any, cast
from urllib.parse import urlencode

import redis
from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from calls.clock import wall_clock_ms
from calls.engine.hangup import hang_up
from calls.engine.live import LiveCall, LiveState
from calls.engine.overview import Wanted, live_now
from calls.store.overview import AWAY
from cdr.display import Form, clock, moment
from cdr.links import story_url
from cdr.moments import moment_of
from cdr.pages import asks_for_fragment, fragment, page, permitted

PER_PAGE = 50
SHOWN_IN_QUESTION = 10
"""Calls named one by one before they are hung up; more are counted."""
COLOURS = {
    LiveState.CALLING: "info",
    LiveState.ROUTING: "",
    LiveState.DIALLING: "info",
    LiveState.EARLY_MEDIA: "warning",
    LiveState.RINGING: "warning",
    LiveState.TALKING: "success",
    LiveState.ENDING: "",
}
NARROWED = {
    "account": "All accounts",
    "trunk": "All trunks",
    "node": "All nodes",
    "state": "All states",
}
"""Attributes of a live call by which the list may be narrowed, and what asks for all."""
ORDERS = {"": "Longest first", "newest": "Newest first"}


class FilterForm(forms.Form):
    """What the list may be narrowed to; choices are what live calls have now."""

    account = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    trunk = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    node = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    state = forms.ChoiceField(required=False, widget=UnfoldAdminSelectWidget)
    number = forms.CharField(
        required=False,
        max_length=40,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "digits", "type": "search"}),
    )
    order = forms.ChoiceField(
        required=False, choices=list(ORDERS.items()), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, data: Any, calls: Iterable[LiveCall]) -> None:
        super().__init__(data)
        # Thousands of calls are of some hundred kinds.
        kinds = Counter(map(attrgetter(*NARROWED), calls))
        for place, (name, everything) in enumerate(NARROWED.items()):
            counted = {self.data.get(name, ""): 0}
            for kind, count in kinds.items():
                counted[kind[place]] = counted.get(kind[place], 0) + count
            counted.pop("", None)
            self.fields[name].choices = [  # type: ignore[attr-defined]
                ("", everything),
                *((f"{value}", f"{value} ({count:,})") for value, count in sorted(counted.items())),
            ]

    def wanted(self) -> Wanted:
        """What is asked for; what is not understood asks for nothing."""
        self.is_valid()
        names = (*NARROWED, "number")
        return Wanted(**{name: self.cleaned_data.get(name, "") for name in names})


@dataclass(frozen=True)
class Row:
    """A live call as a line of the list."""

    call: LiveCall
    now_ms: int

    @property
    def started(self) -> str:
        return moment(moment_of(self.call.started_ms), Form.CLOCK)

    @property
    def seconds(self) -> str:
        """How long the present state has lasted."""
        return clock(max(0, self.now_ms - self.call.since_ms))

    @property
    def state(self) -> SafeString:
        return _label(self.call.state)

    @property
    def story(self) -> str:
        return story_url(self.call.call_id)


@cache
def _label(state: LiveState) -> SafeString:
    """A label of the theme's; rendered for each row it would take a third of the page's time."""
    return render_to_string(
        "unfold/helpers/label.html", {"text": str(state), "type": COLOURS[state]}
    )


@require_http_methods(["GET", "HEAD", "POST"])
@permitted("calls.view_call")
def live_page(request: HttpRequest) -> HttpResponseBase:
    """The list, the part of it that refreshes itself, and the end of calls."""
    if request.method == "POST":
        return _hang_up_page(request)
    try:
        calls = live_now()
    except redis.RedisError:
        if asks_for_fragment(request):
            return HttpResponse(AWAY, status=503, content_type="text/plain")
        return page(request, "calls/live.html", "Live calls", {"away": AWAY}, status=503)
    context = _list(request, calls)
    if asks_for_fragment(request):
        return fragment(request, "calls/live_table.html", context)
    return page(request, "calls/live.html", "Live calls", context)


def _list(request: HttpRequest, calls: Sequence[LiveCall]) -> dict[str, Any]:
    form = FilterForm(request.GET, calls)
    wanted = form.wanted()
    filtered = any(asdict(wanted).values())
    found = [call for call in calls if not filtered or wanted.takes(call)]
    newest_first = request.GET.get("order") == "newest"
    found.sort(key=attrgetter("started_ms", "call_id"), reverse=newest_first)
    pages = max(1, -(-len(found) // PER_PAGE))
    number = min(max(1, _number(request.GET.get("page"))), pages)
    now_ms = wall_clock_ms()
    shown = found[(number - 1) * PER_PAGE : number * PER_PAGE]
    query = {name: value for name, value in request.GET.items() if name != "page" and value}
    return {
        "form": form,
        "filtered": filtered,
        "rows": [Row(call, now_ms) for call in shown],
        "total": len(calls),
        "found": len(found),
        "first": (number - 1) * PER_PAGE + 1,
        "last": (number - 1) * PER_PAGE + len(shown),
        "account": wanted.account,
        "states": _states(found),
        "previous": _address(query | {"page": number - 1}) if number > 1 else "",
        "next": _address(query | {"page": number + 1}) if number < pages else "",
        "address": _address(query | {"page": number}),
        "may_hang_up": request.user.has_perm("calls.hangup_call"),
        "may_see_records": request.user.has_perm("cdr.view_cdr"),
    }


def _states(calls: Iterable[LiveCall]) -> list[tuple[str, str]]:
    counted = Counter(call.state for call in calls)
    return [(f"{counted[each]:,} {each}", COLOURS[each]) for each in LiveState if counted[each]]


@permitted("calls.view_call", "calls.hangup_call")
def _hang_up_page(request: HttpRequest) -> HttpResponse:
    """First the question, with the calls that are up now; then the end of exactly those."""
    back = reverse("live")
    try:
        live = {call.call_id: call for call in live_now()}
        chosen = _chosen(request, live)
        if not chosen:
            messages.warning(request, "None of these calls is up any more.")
            return HttpResponseRedirect(back)
        if "confirmed" not in request.POST:
            return _question(request, chosen)
        asked = hang_up([call.call_id for call in chosen], request.user.get_username())
    except redis.RedisError:
        messages.error(request, AWAY)
        return HttpResponseRedirect(back)
    _record(request, asked.calls)
    count = len(asked.calls)
    messages.success(
        request, f"Asked for the end of {count:,} call{'' if count == 1 else 's'}. {asked.slow}"
    )
    return HttpResponseRedirect(back)


def _chosen(request: HttpRequest, live: dict[str, LiveCall]) -> list[LiveCall]:
    account = request.POST.get("account")
    if account:
        return [call for call in live.values() if call.account == account]
    # The button of a line means that line, whatever is ticked beside it.
    calls = request.POST.getlist("one") or request.POST.getlist("call")
    return [live[call] for call in dict.fromkeys(calls) if call in live]


def _question(request: HttpRequest, chosen: Sequence[LiveCall]) -> HttpResponse:
    now_ms = wall_clock_ms()
    account = request.POST.get("account", "")
    context = {
        "rows": [Row(call, now_ms) for call in chosen[:SHOWN_IN_QUESTION]],
        "more": len(chosen) - SHOWN_IN_QUESTION,
        "count": len(chosen),
        "account": account,
        "calls": [] if account else [call.call_id for call in chosen],
        "talking": sum(call.state is LiveState.TALKING for call in chosen),
    }
    return page(request, "calls/live_hang_up.html", "Hang up?", context)


def _record(request: HttpRequest, calls: Sequence[str]) -> None:
    """Who ended which calls, for the admin's history; each CDR says so too."""
    account = request.POST.get("account")
    what = f"all calls of account {account}" if account else "live calls"
    LogEntry.objects.create(
        user_id=cast(int, request.user.pk),
        object_repr=f"{len(calls):,} {what}"[:200],
        action_flag=CHANGE,
        change_message=f"Hung up {', '.join(calls)}.",
    )


def _address(query: dict[str, Any]) -> str:
    return f"{reverse('live')}?{urlencode(query)}"


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 8 else 1
