"""Limits in the admin, with what is used of them now; and what trunks carry and how they are."""

from datetime import UTC, datetime

import redis
from django.contrib import admin, messages
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from calls.configuration_admin import ConfigurationAdmin
from calls.engine import wall_clock_ms
from calls.limit_book import time_zones
from calls.limit_counts import AWAY, forget_totals, trunk_states, usage
from calls.limit_models import Limit
from calls.limit_rules import Health, LimitRow, Metric, Mode, Scope, rule_of
from calls.replay_admin import ReplayMixin

UNKNOWN = "unknown"


def rules_of(limits):
    """The rules of these limits as they stand now, in their order."""
    now_ms = wall_clock_ms()
    zones = time_zones({limit.target for limit in limits if limit.scope == Scope.ACCOUNT})
    return [
        rule_of(
            limit.row(zones.get(limit.target, "UTC") if limit.scope == Scope.ACCOUNT else "UTC"),
            now_ms,
        )
        for limit in limits
    ]


class Counted:
    """An admin whose rows are shown with what Redis counts of them."""

    def get_changelist_instance(self, request):
        changelist = super().get_changelist_instance(request)
        # Read once for the whole page; the rows stay with the page's query.
        self._count(request, list(changelist.result_list))
        return changelist

    def get_object(self, request, object_id, from_field=None):
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            self._count(request, [found])
        return found

    def _count(self, request, rows):
        try:
            self.count(rows)
        except redis.RedisError:
            self.message_user(request, AWAY, messages.WARNING, fail_silently=True)

    def count(self, rows):
        """Put what Redis counts of these rows at them. Raises redis.RedisError."""
        raise NotImplementedError


@admin.register(Limit)
class LimitAdmin(Counted, ReplayMixin, ConfigurationAdmin):
    list_display = ("name", "present", "shown_mode", "refused", "would_have", "enabled")
    list_filter = (
        ("scope", ChoicesDropdownFilter),
        ("metric", ChoicesDropdownFilter),
        ("mode", ChoicesDropdownFilter),
        "enabled",
    )
    list_filter_submit = True
    search_fields = ("target",)
    search_help_text = "An account's code, a trunk's name or a prefix."
    fieldsets = (
        (None, {"fields": (("scope", "target"), ("metric", "value"), "window")}),
        ("What it does", {"fields": (("mode", "warn_percent"), "enabled")}),
        ("What is used", {"fields": ("used", "refused", "would_have")}),
    )
    readonly_fields = ("used", "refused", "would_have")
    actions = ("set_totals_back",)

    def count(self, rows):
        rules = rules_of(rows)
        for limit, rule, found in zip(rows, rules, usage(rules), strict=True):
            limit.rule, limit.usage = rule, found

    @display(description="limit", ordering="target")
    def name(self, limit):
        return limit.name

    @display(
        description="used now",
        label={"some": "success", "much": "warning", "all": "danger"},
    )
    def present(self, limit):
        found = getattr(limit, "usage", None)
        if found is None or limit.metric == Metric.MAX_DURATION:
            return "", self.used(limit)
        percent = found.percent_of(limit.rule)
        warns = limit.warn_percent and percent >= limit.warn_percent
        return "all" if percent >= 100 else "much" if warns else "some", self.used(limit)

    @display(description="used now")
    def used(self, limit):
        found = getattr(limit, "usage", None)
        if limit.metric == Metric.MAX_DURATION:
            return "not counted"
        if found is None:
            return UNKNOWN
        shown = f"{found.used:,.1f}" if limit.metric == Metric.MINUTES else f"{found.used:,.0f}"
        return f"{shown} of {limit.value:,} ({found.percent_of(limit.rule):.0f} %)"

    @display(
        description="mode",
        ordering="mode",
        label={Mode.ENFORCE.value: "success", Mode.OBSERVE.value: "info"},
    )
    def shown_mode(self, limit):
        return limit.mode, limit.get_mode_display()

    @display(description="refused")
    def refused(self, limit):
        found = getattr(limit, "usage", None)
        return UNKNOWN if found is None else f"{found.refused:,}"

    @display(description="would have refused")
    def would_have(self, limit):
        found = getattr(limit, "usage", None)
        return UNKNOWN if found is None else f"{found.would:,}"

    @action(description="Set the totals of the chosen limits back to 0", permissions=["change"])
    def set_totals_back(self, request, queryset):
        limits = list(queryset)
        try:
            forget_totals(rules_of(limits))
        except redis.RedisError:
            self.message_user(request, AWAY, messages.ERROR)
            return
        self.message_user(request, f"The totals of {len(limits)} limits begin again.")


class TrunkUse(Counted):
    """What a trunk carries, and whether it works."""

    readonly_fields = ("calls_up", "attempts_say")

    def count(self, rows):
        capacities = [trunk for trunk in rows if trunk.max_calls]
        rules = [
            rule_of(LimitRow(Scope.CAPACITY, trunk.name, Metric.CONCURRENT, trunk.max_calls), 0)
            for trunk in capacities
        ]
        for trunk, found in zip(capacities, usage(rules), strict=True):
            trunk.usage = found
        for trunk, state in zip(rows, trunk_states(row.name for row in rows).values(), strict=True):
            trunk.state = state

    @display(description="calls up")
    def calls_up(self, trunk):
        if not trunk.max_calls:
            return "not counted: no limit"
        found = getattr(trunk, "usage", None)
        return UNKNOWN if found is None else f"{found.used:,.0f} of {trunk.max_calls:,}"

    @display(
        description="health",
        label={
            Health.UP.value: "success",
            Health.DEGRADED.value: "warning",
            Health.DOWN.value: "danger",
        },
    )
    def health(self, trunk):
        if trunk.health_override != Health.AUTO:
            return trunk.health_override, trunk.get_health_override_display()
        state = getattr(trunk, "state", None)
        return (state.health.value, state.health.value) if state else ("", UNKNOWN)

    @display(description="its attempts say")
    def attempts_say(self, trunk):
        state = getattr(trunk, "state", None)
        if state is None:
            return UNKNOWN
        if state.health is Health.UP:
            return "up"
        since = datetime.fromtimestamp(state.since_ms / 1000, UTC)
        return (
            f"{state.health} since {since:%Y-%m-%d %H:%M} UTC: "
            f"{state.failed} of {state.attempts} attempts failed"
        )
