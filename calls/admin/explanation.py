"""The page that shows where a call would go, and why."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.admin import site
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.generic import FormView
from unfold.views import UnfoldModelAdminViewMixin
from unfold.widgets import UnfoldAdminTextInputWidget

from calls.models import Account, Route
from calls.routing.steps import Mark, Step
from calls.text import printable
from calls.whatif.explanation import explain
from cdr.errors import first_line
from cdr.filters import YEARS
from cdr.moments import ms_of

MAY_ASK = tuple(
    f"calls.view_{model}"
    for model in ("account", "block", "limit", "route", "routetarget", "trunk")
)
"""An answer names whatever decided it, so it is for those who may see all of that."""
MOST_OFFERED = 500
"""Accounts and prefixes that a list beside a field offers; others are typed."""
LABELS = {Mark.FOUND: "success", Mark.PASSED_OVER: "", Mark.REFUSED: "danger"}


class QuestionForm(forms.Form):
    """A call that nobody makes."""

    number = forms.CharField(
        max_length=200,
        strip=False,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "prefixes"}),
        help_text="As the caller would dial it. The list offers prefixes of routes.",
    )
    account = forms.CharField(
        max_length=80,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "accounts"}),
        help_text="Who calls: choose, or type the code.",
    )
    caller = forms.CharField(
        label="Caller's number",
        max_length=200,
        required=False,
        strip=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Empty: without a number.",
    )
    at = forms.DateTimeField(
        label="At",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-12-24 18:00"}),
        help_text="Your time. Empty: now.",
    )

    call = forms.CharField(
        label="Call id",
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Of a real call: weights and canaries draw as they do for it.",
    )

    def clean_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["at"]
        # The years at either end of Python's have no time in another zone.
        if at is not None and at.year not in YEARS:
            raise forms.ValidationError(
                f"A call can be asked about from {YEARS[0]} to {YEARS[-1]}.", code="year"
            )
        return at


class ExplainView(UnfoldModelAdminViewMixin, FormView[QuestionForm]):
    """Answers by the live path's own query and choice; it changes nothing, so it is a GET."""

    title = "Where would a call go?"
    permission_required = MAY_ASK
    form_class = QuestionForm
    template_name = "calls/explain.html"
    http_method_names = ["get", "head"]

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"data": self.request.GET or None}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs) | {
            "accounts": Account.objects.order_by("code")[:MOST_OFFERED],
            "prefixes": Route.objects.exclude(prefix="")
            .order_by("prefix")
            .values_list("prefix", flat=True)
            .distinct()[:MOST_OFFERED],
        }
        form = context["form"]
        if not form.is_bound or not form.is_valid():
            return context
        asked = form.cleaned_data
        at = asked["at"] or timezone.now()
        try:
            explanation = explain(
                asked["number"],
                account=asked["account"],
                caller=asked["caller"],
                at_ms=ms_of(at),
                call_id=asked["call"] or "explained",
            )
        except (DatabaseError, InterfaceError) as error:
            why = first_line(error)
            return context | {"failure": f"The routing database does not answer: {why}"}
        return context | {
            "explanation": explanation,
            "verdict": printable(explanation.verdict),
            "moment": _moment(at, explanation.found.account),
            "table": _table(explanation.found.steps),
        }


def explain_page(request: HttpRequest) -> HttpResponseBase:
    """Answer for the page's address, to those who are logged in to the admin."""
    view = ExplainView.as_view(model_admin=site.get_model_admin(Route))
    return site.admin_view(view)(request)


def _table(steps: Iterable[Step]) -> dict[str, Any]:
    rows: list[list[str]] = []
    before = None
    for step in steps:
        topic = "" if step.topic is before else step.topic.value
        label = render_to_string(
            "unfold/helpers/label.html", {"text": step.mark.value, "type": LABELS[step.mark]}
        )
        # The label is unfold's own template around a word of ours; all other cells are escaped.
        mark = mark_safe(label)  # noqa: S308
        rows.append([topic, printable(step.subject), mark, printable(step.detail)])
        before = step.topic
    return {"headers": ["", "looked at", "came of it", "why"], "rows": rows}


def _moment(at: datetime, code: str) -> str:
    text = f"As of {at.astimezone(UTC):%A %Y-%m-%d %H:%M:%S} UTC"
    zone = Account.objects.filter(code=code).values_list("time_zone", flat=True).first()
    if not zone or zone == "UTC":
        return f"{text}."
    return f"{text}, {datetime.fromtimestamp(at.timestamp(), ZoneInfo(zone)):%A %H:%M} in {zone}."
