"""Accounts, trunks and routes in the admin."""

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from calls.configuration_admin import ConfigurationAdmin
from calls.limit_admin import TrunkUse
from calls.models import Account, Route, RouteTarget, Trunk


@admin.register(Account)
class AccountAdmin(ConfigurationAdmin):
    list_display = ("code", "name", "enabled", "max_call_s")
    list_filter = ("enabled",)
    search_fields = ("code", "name")
    fields = ("code", "name", "enabled", "max_call_s")


@admin.register(Trunk)
class TrunkAdmin(TrunkUse, ConfigurationAdmin):
    list_display = ("name", "dial_string", "enabled", "health", "calls_up", "rewriting")
    list_filter = ("enabled",)
    search_fields = ("name", "dial_string")
    fieldsets = (
        (None, {"fields": ("name", "dial_string", "enabled", "ring_timeout_s")}),
        ("What it carries", {"fields": ("max_calls", "max_cps", "calls_up")}),
        ("Whether it works", {"fields": ("health_override", "attempts_say")}),
        ("Numbers sent to this trunk", {"fields": ("strip_digits", "add_prefix", "caller_id")}),
    )

    @display(description="number rewriting")
    def rewriting(self, trunk):
        parts = []
        if trunk.strip_digits:
            parts.append(f"strip {trunk.strip_digits}")
        if trunk.add_prefix:
            parts.append(f"add {trunk.add_prefix}")
        return ", ".join(parts) or "as dialled"


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


class RouteTargetInline(TabularInline):
    model = RouteTarget
    formset = RouteTargetFormSet
    hide_title = True
    autocomplete_fields = ("trunk",)
    fields = ("trunk", "priority", "weight")
    verbose_name = "trunk"
    verbose_name_plural = "trunks, by priority and then by weight"

    def get_extra(self, request, obj=None, **kwargs):
        """Offer one empty line in a new route; whether one is needed depends on the action."""
        return 0 if obj else 1


@admin.register(Route)
class RouteAdmin(ConfigurationAdmin):
    list_display = ("shown_prefix", "whose", "shown_action", "trunks", "enabled", "note")
    list_filter = ("action", "enabled", ("account", AutocompleteSelectFilter))
    list_filter_submit = True
    list_select_related = ("account",)
    search_fields = ("^prefix", "note")
    search_help_text = "The first digits of a prefix, or words of a note."
    autocomplete_fields = ("account",)
    fields = (("prefix", "account"), ("action", "enabled"), "note")
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
