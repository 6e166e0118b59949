"""The button "What would this change?" on the forms of the configuration.

The change is saved as always, the past calls are looked up in it, and the transaction is rolled
back before anybody else can see it; hooks for after a commit (calls/store/config_version.py) never
run.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pluralize
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action

from calls.admin.configuration import may_see
from calls.text import printable
from calls.whatif import replay
from calls.whatif.replay_calls import Snapshot, past_calls
from cdr.display import moment
from cdr.moments import moment_of

BUTTON = "_replay"
TITLES = {
    replay.Effect.REFUSED: ("would be refused", "danger"),
    replay.Effect.ROUTED: ("would no longer be refused", "success"),
    replay.Effect.MOVED: ("would go to another trunk", "warning"),
    replay.Effect.SENT: ("would be sent in another form", "info"),
    replay.Effect.FALLBACK: ("would fall back on others", "info"),
    replay.Effect.REASON: ("would be refused for another reason", "info"),
}


class ReplayMixin(ModelAdmin):
    """For a ModelAdmin whose model decides where calls go."""

    change_form_outer_before_template = "calls/replay.html"
    actions_submit_line = ("what_would_this_change",)
    replay_on_add = True
    """Whether a new row can change where calls go."""

    @action(
        description="What would this change?",
        icon="compare_arrows",
        permissions=["replay"],
        attrs={"name": BUTTON, "title": "Nothing is saved by looking."},
    )
    def what_would_this_change(self, request: HttpRequest, obj: Any) -> None:
        """Answered by changeform_view: unfold runs this one only for a name that is not sent."""

    def has_replay_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whoever may make the change, and may see the calls it is tried on and where they go."""
        if not request.user.has_perm("cdr.view_cdr") or not may_see(request, "trunk", "route"):
            return False
        if object_id is None:
            return self.replay_on_add and self.has_add_permission(request)
        return self.has_change_permission(request)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        extra_context = dict(extra_context or {})
        if object_id is None:
            # Unfold leaves these buttons out of the form for a new row.
            extra_context["actions_submit_line"] = self.get_actions_submit_line(request, None)
        if request.method != "POST" or BUTTON not in request.POST:
            return super().changeform_view(request, object_id, form_url, extra_context)
        if not self.has_replay_permission(request, object_id):
            raise PermissionDenied
        response = super().changeform_view(request, object_id, form_url, extra_context)
        if not isinstance(response, _Evaluated):
            # The form has errors, and shows them.
            return response
        report = response.report()
        request.replay_shown = True  # type: ignore[attr-defined]
        extra_context["replay"] = _shown(report)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def message_user(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """Say nothing a second time, when the form is shown again."""
        if not getattr(request, "replay_shown", False):
            super().message_user(request, *args, **kwargs)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm[Any]]:
        form: type[ModelForm[Any]] = super().get_form(request, obj, change=change, **kwargs)
        if not getattr(request, "replay_shown", False):
            return form

        class ShownAgain(form):  # type: ignore[misc, valid-type]
            """Cleaned, but never saved: Django shows the form again with what was entered."""

            def is_valid(self) -> bool:
                super().is_valid()
                return False

        return ShownAgain

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        if BUTTON in request.POST:
            return self._evaluated()
        return super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        if BUTTON in request.POST:
            return self._evaluated()
        return super().response_change(request, obj)

    def _evaluated(self) -> "_Evaluated":
        """Look the calls up in the change, which is saved at this moment, and undo it."""
        response = _Evaluated()
        transaction.set_rollback(True, using=router.db_for_write(self.model))
        return response


class _Evaluated(HttpResponse):
    """Never sent: carries the new configuration out of its transaction."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = past_calls(settings.REPLAY_CALLS)
        self._after = Snapshot.take(self._calls)

    def report(self) -> replay.Report:
        """Compare with the configuration as it is saved."""
        before = Snapshot.take(self._calls)
        return replay.compare(
            self._calls, before.decisions(self._calls), self._after.decisions(self._calls)
        )


def _shown(report: replay.Report) -> dict[str, Any]:
    """The report as the template shows it."""
    totals = [
        _label(f"{report.count(effect):,} {title}", colour)
        for effect, (title, colour) in TITLES.items()
        if report.count(effect)
    ]
    return {
        "report": report,
        "calls": f"{report.calls:,} call{pluralize(report.calls)}",
        "started": _started(report),
        "totals": [*totals, _label(f"{report.unchanged:,} would stay as they are", "")],
        "table": {
            "headers": ("Calls", "What would change", "From", "To"),
            "rows": [_group(group) for group in report.groups],
            "collapsible": True,
        },
    }


def _group(group: replay.Group) -> dict[str, Any]:
    title, colour = TITLES[group.effect]
    return {
        "cols": (f"{group.count:,}", _label(title, colour), group.before, group.after),
        "table": {
            "headers": ("Call", "Started", "Account", "Dialled", "Now", "After the change"),
            "rows": [_example(example) for example in group.examples],
            "collapsible": True,
        },
    }


def _example(example: replay.Example) -> tuple[SafeString | str, ...]:
    call = example.call
    return (
        format_html(
            '<a href="{}" class="text-primary-600 dark:text-primary-500">{}</a>',
            reverse("admin:cdr_cdr_change", args=(call.record_id,)),
            call.call_id,
        ),
        _moment(call.started_ms),
        call.account or "unknown",
        printable(call.dialled),
        printable(example.before),
        printable(example.after),
    )


def _label(text: str, colour: str) -> SafeString:
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": colour})


def _started(report: replay.Report) -> SafeString:
    first, last = _moment(report.first_ms), _moment(report.last_ms)
    if first == last:
        return format_html("started {}", first)
    return format_html("started {} to {}", first, last)


def _moment(ms: int | None) -> SafeString | str:
    return moment(None if ms is None else moment_of(ms))
