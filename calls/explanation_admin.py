"""The page that shows where a call would go, and why."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.admin import site
from django.db import DatabaseError, InterfaceError
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.generic import FormView
from unfold.views import UnfoldModelAdminViewMixin
from unfold.widgets import UnfoldAdminTextInputWidget

from calls.explanation import explain
from calls.live import printable
from calls.models import Account, Route
from calls.steps import Mark

LABELS = {Mark.FOUND: "success", Mark.PASSED_OVER: "", Mark.REFUSED: "danger"}


class QuestionForm(forms.Form):
    """A call that nobody makes."""

    number = forms.CharField(
        max_length=200,
        strip=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="As the caller would dial it.",
    )
    account = forms.CharField(
        max_length=80, widget=UnfoldAdminTextInputWidget, help_text="The code of who calls."
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
        label="At (UTC)",
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-12-24 18:00"}),
        help_text="Empty: now.",
    )


class ExplainView(UnfoldModelAdminViewMixin, FormView):
    """Answers by the live path's own query and choice; it changes nothing, so it is a GET."""

    title = "Where would a call go?"
    permission_required = ("calls.view_route", "calls.view_trunk", "calls.view_account")
    form_class = QuestionForm
    template_name = "calls/explain.html"
    http_method_names = ["get", "head"]

    def get_form_kwargs(self):
        return super().get_form_kwargs() | {"data": self.request.GET or None}

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
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
                at_ms=int(at.timestamp() * 1000),
            )
        except (DatabaseError, InterfaceError) as error:
            why = str(error).partition("\n")[0]
            return context | {"failure": f"The routing database does not answer: {why}"}
        return context | {
            "explanation": explanation,
            "verdict": printable(explanation.verdict),
            "moment": _moment(at, explanation.found.account),
            "table": _table(explanation.found.steps),
        }


def explain_page(request):
    """Answer for the page's address, to those who are logged in to the admin."""
    view = ExplainView.as_view(model_admin=site.get_model_admin(Route))
    return site.admin_view(view)(request)


def _table(steps):
    rows, before = [], None
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


def _moment(at, code):
    text = f"As of {at.astimezone(UTC):%A %Y-%m-%d %H:%M:%S} UTC"
    zone = Account.objects.filter(code=code).values_list("time_zone", flat=True).first()
    if not zone or zone == "UTC":
        return f"{text}."
    return f"{text}, {datetime.fromtimestamp(at.timestamp(), ZoneInfo(zone)):%A %H:%M} in {zone}."
