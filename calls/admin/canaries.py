"""Canaries in the admin: begun on a route, judged by themselves, ended by a button."""

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import action, display

from calls.admin.configuration import ConfigurationAdmin, may_see
from calls.admin.replay import ReplayMixin
from calls.admin.troubles import Trouble
from calls.canary.course import NotPossible, begin, go_back, restore, set_share, take_over
from calls.canary.judging import percent
from calls.models import Canary, CanaryTarget, Route
from calls.models.canaries import TARGET_FIELDS, targets_of
from calls.routing.canary import Arm, mark
from calls.text import printable
from cdr.display import clock, moment
from cdr.pages import page

COLOURS = {
    Canary.State.RUNNING.value: "info",
    Canary.State.TAKEN_OVER.value: "success",
    Canary.State.WENT_BACK.value: "warning",
}


class TargetFormSet(BaseInlineFormSet[CanaryTarget, Canary, ModelForm[Any]]):
    """A canary tries something, and something else than its route has already."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors) or self.instance.pk or self.instance.route_id is None:
            return
        kept = [
            form.cleaned_data
            for form in self.forms
            if form.cleaned_data.get("trunk") and not form.cleaned_data.get("DELETE")
        ]
        if not kept:
            raise ValidationError("Name the trunks that are to be tried.")
        tried = [
            {"trunk": each["trunk"].name} | {name: each[name] for name in TARGET_FIELDS}
            for each in kept
        ]
        before = targets_of(self.instance.route)
        if _sorted(tried) == _sorted(before):
            raise ValidationError(
                "These are the trunks that the route has already: change what is to be tried."
            )


def _sorted(targets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(targets, key=lambda target: target["trunk"])


class TargetForm(ModelForm[CanaryTarget]):
    """Most targets rewrite nothing of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "strip_digits" in self.fields:
            self.fields["strip_digits"].required = False

    def clean_strip_digits(self) -> int:
        return self.cleaned_data["strip_digits"] or 0

    def has_changed(self) -> bool:
        # A line that is offered as the route has it is as good as one typed by hand.
        return bool(self.data.get(self.add_prefix("trunk"))) or super().has_changed()


class CanaryTargetInline(TabularInline):
    model = CanaryTarget
    form = TargetForm
    formset = TargetFormSet
    hide_title = True
    autocomplete_fields = ("trunk",)
    fields = ("trunk", "priority", "weight", "strip_digits", "add_prefix")
    verbose_name = "trunk"
    verbose_name_plural = "trunks to try in place of the route's, by priority and then by weight"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj else max(1, len(_offered(request)))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and request.user.has_perm("calls.add_canary")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and request.user.has_perm("calls.add_canary")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("calls.view_canary") and may_see(request, "trunk")


def _offered(request: HttpRequest) -> list[dict[str, Any]]:
    """The trunks of the route that the address names, to begin with."""
    text = request.GET.get("route", "")
    route = Route.objects.filter(pk=text).first() if _is_key(text) else None
    if route is None or not may_see(request, "route", "trunk"):
        return []
    return [
        {"trunk": row.trunk_id} | {name: getattr(row, name) for name in TARGET_FIELDS}
        for row in route.targets.order_by("priority", "-weight", "pk")
    ]


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


class CanaryAdmin(ReplayMixin, ConfigurationAdmin):
    empty_title = "No change is being tried."
    empty_help = (
        "A canary lets a part of a route's calls try other trunks, compares how they go, and goes "
        "back by itself when the new ones are worse. Begin one on the page of a route."
    )
    list_display = ("shown", "labelled", "percent", "asr", "wait", "mos", "begun", "why")
    list_filter = ("state",)
    list_select_related = ("route", "route__account")
    autocomplete_fields = ("route",)
    inlines = (CanaryTargetInline,)
    actions = None
    actions_detail = ("take_over", "go_back", "restore")
    new_fieldsets = ((None, {"fields": ("route", ("share", "enough"), "steps_up", "note")}),)
    running_fieldsets = (
        (None, {"fields": (("shown", "shown_state"), "going", "records", "shown_before")}),
        ("How it goes on", {"fields": (("share", "enough"), "steps_up", "note")}),
    )
    ended_fieldsets = (
        (None, {"fields": (("shown", "shown_state"), "why", "going", "records")}),
        (
            "How it was",
            {"fields": (("share", "enough"), ("shown_before", "shown_tried"), "note")},
        ),
    )

    # --- What may be done, and when ---

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_change_permission(request, obj)
        return may and (obj is None or obj.is_running)

    def has_replay_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        if object_id is not None and _has_ended(str(object_id)):
            return False
        return super().has_replay_permission(request, object_id)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # One that runs goes back first, with a reason.
        may = super().has_delete_permission(request, obj)
        return may and (obj is None or not obj.is_running)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return self.inlines if obj is None or obj.is_running else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.new_fieldsets
        return self.running_fieldsets if obj.is_running else self.ended_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        shown = ["shown", "shown_state", "going", "records", "shown_before", "shown_tried", "why"]
        return shown if obj.is_running else [*shown, "share", "enough", "note"]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"route": request.GET.get("route", "")} if _offered(request) else {}

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Any, inline: Any, prefix: str, *args: Any
    ) -> dict[str, Any]:
        given = super().get_formset_kwargs(request, obj, inline, prefix, *args)
        if request.method == "GET" and obj.pk is None:
            given["initial"] = _offered(request)
        return given

    # --- Saving ---

    def save_model(self, request: HttpRequest, obj: Canary, form: Any, change: bool) -> None:
        if not change:
            obj.by = request.user.get_username()
            obj.stage_at = timezone.now()
        elif "share" in form.changed_data:
            set_share(obj, obj.share)
            return
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if not change:
            begin(form.instance)

    # --- Its end ---

    @action(description="Take over", icon="done_all", permissions=["end"])
    def take_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "Take the new trunks over, for all calls of the route?"
        return self._ended(request, object_id, question, take_over)

    @action(description="Go back", icon="undo", permissions=["end"])
    def go_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "Go back to the route's own trunks, for all calls?"
        return self._ended(request, object_id, question, go_back)

    @action(description="Give it up", icon="undo", permissions=["restore"])
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        question = "Give the route the trunks back that it had before?"
        return self._ended(
            request, object_id, question, lambda canary, why, by: restore(canary, by)
        )

    def has_end_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_end(request, object_id, Canary.State.RUNNING)

    def has_restore_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self._may_end(request, object_id, Canary.State.TAKEN_OVER)

    def _may_end(self, request: HttpRequest, object_id: Any, state: "Canary.State") -> bool:
        if not request.user.has_perms(("calls.change_canary", "calls.change_routetarget")):
            return False
        key = str(object_id or "")
        return _is_key(key) and Canary.objects.filter(pk=key, state=state).exists()

    def _ended(self, request: HttpRequest, object_id: str, question: str, how: Any) -> HttpResponse:
        canary = Canary.objects.select_related("route").get(pk=object_id)
        back = reverse("admin:calls_canary_change", args=[canary.pk])
        if request.method != "POST":
            context = {"canary": canary, "going": self.going(canary), "back": back}
            return page(request, "calls/canary_end.html", question, context | {"sure": question})
        try:
            how(canary, "By hand.", request.user.get_username())
        except NotPossible as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            canary.refresh_from_db()
            self.message_user(request, f"{canary}: {canary.get_state_display()}.")
        return HttpResponseRedirect(back)

    # --- What is shown ---

    @display(description="canary", ordering="pk")
    def shown(self, canary: Canary) -> SafeString:
        return format_html("{} of route {}", canary.pk, canary.route)

    @display(description="state", ordering="state", label=COLOURS)
    def labelled(self, canary: Canary) -> tuple[str, str]:
        return canary.state, canary.get_state_display()

    @display(description="state")
    def shown_state(self, canary: Canary) -> SafeString:
        if canary.is_running:
            since = moment(canary.begun_at)
            return format_html("running since {}, begun by {}", since, canary.by or "nobody")
        by = f"by {canary.ended_by}" if canary.ended_by else "by itself"
        return format_html("{} {}, {}", canary.get_state_display(), by, moment(canary.ended_at))

    @display(description="share", ordering="share")
    def percent(self, canary: Canary) -> str:
        return f"{canary.share} %"

    @display(description="begun", ordering="begun_at")
    def begun(self, canary: Canary) -> str:
        return moment(canary.begun_at)

    @display(description="ASR: new / old")
    def asr(self, canary: Canary) -> str:
        return _both(canary, "asr", percent)

    @display(description="PDD: new / old")
    def wait(self, canary: Canary) -> str:
        return _both(canary, "wait_ms", lambda ms: f"{ms / 1000:.1f} s")

    @display(description="MOS: new / old")
    def mos(self, canary: Canary) -> str:
        return _both(canary, "mos", lambda mos: f"{mos:.2f}")

    @display(description="how it goes")
    def going(self, canary: Canary) -> SafeString | str:
        if not canary.found:
            return "Not looked at yet at this share: the records worker does so each minute."
        rows = (
            ("calls", _each(canary, "calls", lambda count: f"{count:,}")),
            ("ASR", _each(canary, "asr", lambda share: percent(share, 1))),
            ("PDD, median from the call's begin", _each(canary, "wait_ms", _seconds)),
            ("MOS, mean", _each(canary, "mos", lambda mos: f"{mos:.2f}")),
        )
        lines = format_html_join(
            "",
            '<tr><td>{}</td><td class="rm-number">{}</td><td class="rm-number">{}</td></tr>',
            ((name, new, old) for name, (new, old) in rows),
        )
        said = canary.found.get("said", "")
        return format_html(
            '<table class="rm-table rm-flat"><thead><tr><th></th><th class="rm-number">new trunks'
            '</th><th class="rm-number">old trunks</th></tr></thead><tbody>{}</tbody></table>'
            '<p class="rm-quiet">Look {} at {}{}</p>',
            lines,
            canary.looks,
            moment(canary.looked_at) if canary.looked_at else "",
            f": {printable(said)}." if said else ".",
        )

    @display(description="its calls")
    def records(self, canary: Canary) -> SafeString:
        base = reverse("admin:cdr_cdr_changelist")
        links = (
            (base, urlencode({"canary": mark(canary.pk, arm), "window": "all"}), arm.value)
            for arm in (Arm.NEW, Arm.OLD)
        )
        return format_html_join(", ", '<a class="rm-link" href="{}?{}">by the {} trunks</a>', links)

    @display(description="the route's trunks before")
    def shown_before(self, canary: Canary) -> str:
        return _listed(canary.before)

    @display(description="the trunks that were tried")
    def shown_tried(self, canary: Canary) -> str:
        return _listed(canary.tried)


def _has_ended(key: str) -> bool:
    rows = Canary.objects.exclude(state=Canary.State.RUNNING)
    return _is_key(key) and rows.filter(pk=key).exists()


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.2f} s"


def _each(canary: Canary, name: str, form: Any) -> tuple[str, str]:
    values = (canary.found.get(side, {}).get(name) for side in ("new", "old"))
    new, old = ("-" if value is None else form(value) for value in values)
    return new, old


def _both(canary: Canary, name: str, form: Any) -> str:
    new, old = _each(canary, name, form)
    return "-" if (new, old) == ("-", "-") else f"{new} / {old}"


def _listed(targets: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{each['trunk']} (priority {each['priority']}, weight {each['weight']})"
        for each in targets
    )


class CanaryOfRoute:
    """The button on a route's page that begins a canary, or shows the one that runs."""

    @action(
        description="Try other trunks on a part of the calls", icon="science", permissions=["try"]
    )
    def try_others(self, request: HttpRequest, object_id: str) -> HttpResponse:
        running = Canary.objects.filter(route__pk=object_id, state=Canary.State.RUNNING).first()
        if running is not None:
            return HttpResponseRedirect(reverse("admin:calls_canary_change", args=[running.pk]))
        address = reverse("admin:calls_canary_add")
        return HttpResponseRedirect(f"{address}?{urlencode({'route': object_id})}")

    def has_try_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("calls.add_canary") and may_see(request, "trunk", "route")


# --- On the dashboard -----------------------------------------------------------------------------

NEWS = timedelta(hours=24)
"""For how long the dashboard says that a canary went back by itself."""


def running() -> list[dict[str, Any]]:
    """The canaries that run, as the dashboard shows them."""
    rows = Canary.objects.filter(state=Canary.State.RUNNING).select_related("route__account")
    now = timezone.now()
    return [
        {
            "name": f"route {row.route}",
            "link": reverse("admin:calls_canary_change", args=[row.pk]),
            "share": row.share,
            "asr": _both(row, "asr", percent),
            "since": clock(max(0, round((now - row.stage_at).total_seconds() * 1000))),
        }
        for row in rows
    ]


def news() -> list[Trouble]:
    """The canaries that went back by themselves lately."""
    rows = Canary.objects.filter(
        state=Canary.State.WENT_BACK, ended_by="", ended_at__gt=timezone.now() - NEWS
    ).select_related("route__account")
    return [
        Trouble(
            f"The canary of route {row.route} went back by itself. {row.why}",
            severe=False,
            link=reverse("admin:calls_canary_change", args=[row.pk]),
        )
        for row in rows
    ]
