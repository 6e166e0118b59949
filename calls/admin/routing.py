"""Accounts, trunks, routes and the blocklist in the admin."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from calls.admin.alarms import StopAction
from calls.admin.canaries import CanaryOfRoute
from calls.admin.configuration import ConfigurationAdmin, may_see
from calls.admin.limits import TrunkUse
from calls.admin.placing import TestCallAction
from calls.admin.replay import ReplayMixin
from calls.admin.route_files import RouteCsvMixin
from calls.models import Block, Route, RouteTarget, Trunk
from calls.models.routes import NEEDS_TRUNK
from calls.routing.rows import CallerIdPolicy


class AccountAdmin(StopAction, ReplayMixin, ConfigurationAdmin):
    actions = ("stop_accounts",)
    empty_title = "No account yet."
    empty_help = (
        "Every call belongs to an account; a caller without one is refused. Its code is the "
        "channel's accountcode in Asterisk, or else its endpoint's name."
    )
    list_display = ("code", "name", "enabled", "max_call_s", "time_zone", "country_code")
    list_filter = ("enabled",)
    search_fields = ("code", "name")
    # No call that there is a record of was an account's that did not exist.
    replay_on_add = False
    fieldsets = (
        (
            None,
            {"fields": (("code", "name"), ("enabled", "max_call_s"), ("time_zone", "caller_id"))},
        ),
        (
            "How its people dial",
            {
                "fields": (
                    "country_code",
                    ("international_prefix", "national_prefix"),
                    "short_codes",
                )
            },
        ),
        (
            "What it may do",
            {"fields": ("allowed_prefixes", "allowed_callers", "refuse_unchecked", "phones")},
        ),
    )


class TrunkAdmin(TestCallAction, TrunkUse, ReplayMixin, ConfigurationAdmin):
    actions_detail = ("test_call",)
    empty_title = "No trunk yet."
    empty_help = (
        "A trunk is a way out: what Asterisk dials, such as PJSIP/{number}@carrier-a. "
        "Routes choose among trunks."
    )
    list_display = (
        "name",
        "dial_string",
        "enabled",
        "health",
        "calls_up",
        "rewriting",
        "shown_caller",
    )
    list_filter = ("enabled",)
    search_fields = ("name", "dial_string")
    fieldsets = (
        (None, {"fields": ("name", "dial_string", "enabled", "ring_timeout_s")}),
        ("What it carries", {"fields": (("max_calls", "max_cps"), "calls_up")}),
        ("Whether it works", {"fields": ("health_override", "attempts_say")}),
        (
            "Numbers sent to this trunk",
            {
                "fields": (
                    ("strip_digits", "add_prefix"),
                    ("rewrite_match", "rewrite_replace"),
                    "tech_prefix",
                    "country_code",
                    ("international_prefix", "national_prefix"),
                )
            },
        ),
        ("The caller's number shown to it", {"fields": (("caller_id_policy", "caller_id"),)}),
    )

    @display(description="number rewriting")
    def rewriting(self, trunk: Trunk) -> str:
        parts = []
        if trunk.strip_digits:
            parts.append(f"strip {trunk.strip_digits}")
        if trunk.add_prefix:
            parts.append(f"add {trunk.add_prefix}")
        if trunk.rewrite_match:
            parts.append(f"{trunk.rewrite_match} → {trunk.rewrite_replace or 'nothing'}")
        if trunk.tech_prefix:
            parts.append(f"{trunk.tech_prefix} in front")
        return ", ".join(parts) or "as routed"

    @display(description="caller's number", ordering="caller_id_policy")
    def shown_caller(self, trunk: Trunk) -> str:
        if trunk.caller_id_policy == CallerIdPolicy.FIXED:
            return trunk.caller_id
        return trunk.get_caller_id_policy_display()


class RouteTargetFormSet(BaseInlineFormSet[RouteTarget, Route, ModelForm[Any]]):
    """A route that routes needs somewhere to route to."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors) or self.instance.action != Route.Action.ROUTE:
            return
        kept = [
            form
            for form in self.forms
            if form.cleaned_data.get("trunk") and not form.cleaned_data.get("DELETE")
        ]
        if not kept:
            raise ValidationError(NEEDS_TRUNK)


class RouteTargetForm(ModelForm[RouteTarget]):
    """Most targets rewrite nothing of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["strip_digits"].required = False

    def clean_strip_digits(self) -> int:
        return self.cleaned_data["strip_digits"] or 0


class RouteTargetInline(TabularInline):
    model = RouteTarget
    form = RouteTargetForm
    formset = RouteTargetFormSet
    hide_title = True
    autocomplete_fields = ("trunk",)
    fields = ("trunk", "priority", "weight", "strip_digits", "add_prefix")
    verbose_name = "trunk"
    verbose_name_plural = "trunks, by priority and then by weight"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        """Offer one empty line in a new route; whether one is needed depends on the action."""
        return 0 if obj else 1

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and may_see(request, "trunk")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_add_permission(request, obj) and may_see(request, "trunk")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and may_see(request, "trunk")


class RouteAdmin(RouteCsvMixin, CanaryOfRoute, ReplayMixin, ConfigurationAdmin):
    empty_title = "No route yet."
    empty_help = (
        "Without one every call is refused with 404. A route takes the numbers that begin with its "
        "prefix; an empty prefix takes all. Many at once: Import."
    )
    list_display = ("shown_prefix", "whose", "shown_action", "trunks", "enabled", "holds", "note")
    list_filter = ("action", "enabled", ("account", AutocompleteSelectFilter))
    list_filter_submit = True
    list_select_related = ("account",)
    search_fields = ("^prefix", "note")
    search_help_text = "The first digits of a prefix, or words of a note."
    autocomplete_fields = ("account",)
    fieldsets = (
        (None, {"fields": (("prefix", "account"), ("action", "enabled"), "note")}),
        ("When it holds", {"fields": ("valid_from", "valid_until", "schedule")}),
    )
    inlines = (RouteTargetInline,)
    actions_detail = ("try_others",)

    def get_list_display(self, request: HttpRequest) -> Any:
        shown = super().get_list_display(request)
        if may_see(request, "routetarget", "trunk"):
            return shown
        return [column for column in shown if column != "trunks"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        return super().get_queryset(request).prefetch_related("targets__trunk")

    @display(description="prefix", ordering="prefix")
    def shown_prefix(self, route: Route) -> str:
        return route.prefix or "default"

    @display(description="account", ordering="account__code")
    def whose(self, route: Route) -> str:
        return route.account.code if route.account else "all"

    @display(
        description="action",
        ordering="action",
        label={Route.Action.ROUTE.value: "success", Route.Action.BLOCK.value: "danger"},
    )
    def shown_action(self, route: Route) -> tuple[str, str]:
        return route.action, route.get_action_display()

    @display(description="trunks")
    def trunks(self, route: Route) -> str:
        return ", ".join(target.trunk.name for target in route.targets.all()) or "-"

    @display(description="holds")
    def holds(self, route: Route) -> str:
        parts = [
            f"{word} {moment:%Y-%m-%d %H:%M}"
            for word, moment in (("from", route.valid_from), ("until", route.valid_until))
            if moment
        ]
        return ", ".join([*parts, *([route.schedule] if route.schedule else [])]) or "always"


class BlockAdmin(ReplayMixin, ConfigurationAdmin):
    empty_title = "Nobody is blocked."
    empty_help = "An entry refuses numbers that begin with its prefix, as called or as calling."
    list_display = ("prefix", "side", "whose", "enabled", "note")
    list_filter = ("side", "enabled", ("account", AutocompleteSelectFilter))
    list_filter_submit = True
    list_select_related = ("account",)
    search_fields = ("^prefix", "note")
    search_help_text = "The first digits of a prefix, or words of a note."
    autocomplete_fields = ("account",)
    fields = (("side", "prefix"), ("account", "enabled"), "note")

    @display(description="account", ordering="account__code")
    def whose(self, block: Block) -> str:
        return block.account.code if block.account else "all"
