"""Accounts, trunks, routes and the blocklist in the admin."""

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.forms.models import BaseInlineFormSet
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from calls.configuration_admin import ConfigurationAdmin
from calls.limit_admin import TrunkUse
from calls.models import Account, Block, Route, RouteTarget, Trunk
from calls.replay_admin import ReplayMixin
from calls.route_csv_admin import RouteCsvMixin
from calls.rows import CallerIdPolicy


@admin.register(Account)
class AccountAdmin(ReplayMixin, ConfigurationAdmin):
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
            {"fields": (("country_code", "international_prefix", "national_prefix"),)},
        ),
    )


@admin.register(Trunk)
class TrunkAdmin(TrunkUse, ReplayMixin, ConfigurationAdmin):
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
            {"fields": (("strip_digits", "add_prefix"), ("rewrite_match", "rewrite_replace"))},
        ),
        ("The caller's number shown to it", {"fields": (("caller_id_policy", "caller_id"),)}),
    )

    @display(description="number rewriting")
    def rewriting(self, trunk):
        parts = []
        if trunk.strip_digits:
            parts.append(f"strip {trunk.strip_digits}")
        if trunk.add_prefix:
            parts.append(f"add {trunk.add_prefix}")
        if trunk.rewrite_match:
            parts.append(f"{trunk.rewrite_match} → {trunk.rewrite_replace or 'nothing'}")
        return ", ".join(parts) or "as routed"

    @display(description="caller's number", ordering="caller_id_policy")
    def shown_caller(self, trunk):
        if trunk.caller_id_policy == CallerIdPolicy.FIXED:
            return trunk.caller_id
        return trunk.get_caller_id_policy_display()


class RouteTargetFormSet(BaseInlineFormSet):
    """A route that routes needs somewhere to route to."""

    def clean(self):
        super().clean()
        if any(self.errors) or self.instance.action != Route.Action.ROUTE:
            return
        kept = [
            form
            for form in self.forms
            if form.cleaned_data.get("trunk") and not form.cleaned_data.get("DELETE")
        ]
        if not kept:
            raise ValidationError(
                "A route to trunks needs at least one trunk. To refuse these numbers, choose "
                "the action block."
            )


class RouteTargetForm(ModelForm):
    """Most targets rewrite nothing of their own."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["strip_digits"].required = False

    def clean_strip_digits(self):
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

    def get_extra(self, request, obj=None, **kwargs):
        """Offer one empty line in a new route; whether one is needed depends on the action."""
        return 0 if obj else 1


@admin.register(Route)
class RouteAdmin(RouteCsvMixin, ReplayMixin, ConfigurationAdmin):
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

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("targets__trunk")

    @display(description="prefix", ordering="prefix")
    def shown_prefix(self, route):
        return route.prefix or "default"

    @display(description="account", ordering="account__code")
    def whose(self, route):
        return route.account.code if route.account else "all"

    @display(
        description="action",
        ordering="action",
        label={Route.Action.ROUTE.value: "success", Route.Action.BLOCK.value: "danger"},
    )
    def shown_action(self, route):
        return route.action, route.get_action_display()

    @display(description="trunks")
    def trunks(self, route):
        return ", ".join(target.trunk.name for target in route.targets.all()) or "-"

    @display(description="holds")
    def holds(self, route):
        parts = [
            f"{word} {moment:%Y-%m-%d %H:%M}"
            for word, moment in (("from", route.valid_from), ("until", route.valid_until))
            if moment
        ]
        return ", ".join([*parts, *([route.schedule] if route.schedule else [])]) or "always"


@admin.register(Block)
class BlockAdmin(ReplayMixin, ConfigurationAdmin):
    list_display = ("prefix", "side", "whose", "enabled", "note")
    list_filter = ("side", "enabled", ("account", AutocompleteSelectFilter))
    list_filter_submit = True
    list_select_related = ("account",)
    search_fields = ("^prefix", "note")
    search_help_text = "The first digits of a prefix, or words of a note."
    autocomplete_fields = ("account",)
    fields = (("side", "prefix"), ("account", "enabled"), "note")

    @display(description="account", ordering="account__code")
    def whose(self, block):
        return block.account.code if block.account else "all"
