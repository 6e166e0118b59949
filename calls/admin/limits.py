"""Limits in the admin, with what is used of them now; and what trunks carry and how they are."""

from collections.abc import Sequence
from typing import Any

import redis
from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from calls.admin.configuration import ConfigurationAdmin
from calls.admin.replay import ReplayMixin
from calls.clock import wall_clock_ms
from calls.limits.health import TrunkState
from calls.limits.rules import Health, Metric, Mode, Rule, rule_of
from calls.models import Limit, Trunk
from calls.models.changes import note
from calls.store.usage import AWAY, Usage, forget_totals, trunk_states, usage
from cdr.moments import moment_of

UNKNOWN = "unknown"


def rules_of(limits: Sequence[Limit]) -> list[Rule]:
    """The rules of these limits as they stand now, in their order."""
    now_ms = wall_clock_ms()
    return [rule_of(limit.row(), now_ms) for limit in limits]


class Counted(ModelAdmin):
    """An admin whose rows are shown with what Redis counts of them."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist = super().get_changelist_instance(request)
        # Read once for the whole page; the rows stay with the page's query.
        self._count(request, list(changelist.result_list))
        return changelist

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            self._count(request, [found])
        return found

    def _count(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        try:
            self.count(rows)
        except redis.RedisError:
            self.message_user(request, AWAY, messages.WARNING, fail_silently=True)

    def count(self, rows: Sequence[Any]) -> None:
        """Put what Redis counts of these rows at them. Raises redis.RedisError."""
        raise NotImplementedError


def counted_of(limit: Limit) -> tuple[Rule, Usage] | None:
    """What was read for this row of a page; None where Redis did not answer."""
    counted: tuple[Rule, Usage] | None = getattr(limit, "counted", None)
    return counted


class LimitAdmin(Counted, ReplayMixin, ConfigurationAdmin):
    empty_title = "No limit yet."
    empty_help = (
        "A limit says how many calls, calls a second or minutes an account, a trunk, a prefix or "
        "everybody may use. Begin with one that only observes: it refuses nobody and counts."
    )
    list_display = ("name", "present", "shown_mode", "refused", "would_have", "enabled")
    list_filter = (
        ("scope", ChoicesDropdownFilter),
        ("metric", ChoicesDropdownFilter),
        ("mode", ChoicesDropdownFilter),
        "enabled",
    )
    list_filter_submit = True
    search_fields = ("account__code", "trunk__name", "prefix")
    autocomplete_fields = ("account", "trunk")
    list_select_related = ("account", "trunk")
    search_help_text = "An account's code, a trunk's name or a prefix."
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "scope",
                    ("account", "trunk", "prefix"),
                    ("metric", "value"),
                    "window",
                    "note",
                )
            },
        ),
        ("What it does", {"fields": (("mode", "warn_percent"), "enabled")}),
        ("What is used", {"fields": ("used", "refused", "would_have")}),
    )
    readonly_fields = ("used", "refused", "would_have")
    actions = ("set_totals_back",)

    def count(self, rows: Sequence[Any]) -> None:
        rules = rules_of(rows)
        for limit, rule, found in zip(rows, rules, usage(rules), strict=True):
            limit.counted = rule, found

    @display(description="limit", ordering="scope")
    def name(self, limit: Limit) -> str:
        return limit.name

    @display(
        description="used now",
        label={"some": "success", "much": "warning", "all": "danger"},
    )
    def present(self, limit: Limit) -> tuple[str, str]:
        counted = counted_of(limit)
        if counted is None or limit.metric == Metric.MAX_DURATION:
            return "", self.used(limit)
        rule, found = counted
        percent = found.percent_of(rule)
        warns = limit.warn_percent and percent >= limit.warn_percent
        return "all" if percent >= 100 else "much" if warns else "some", self.used(limit)

    @display(description="used now")
    def used(self, limit: Limit) -> str:
        counted = counted_of(limit)
        if limit.metric == Metric.MAX_DURATION:
            return "not counted"
        if counted is None:
            return UNKNOWN
        rule, found = counted
        shown = f"{found.used:,.1f}" if limit.metric == Metric.MINUTES else f"{found.used:,.0f}"
        return f"{shown} of {limit.value:,} ({found.percent_of(rule):.0f} %)"

    @display(
        description="mode",
        ordering="mode",
        label={Mode.ENFORCE.value: "success", Mode.OBSERVE.value: "info"},
    )
    def shown_mode(self, limit: Limit) -> tuple[str, str]:
        return limit.mode, limit.get_mode_display()

    @display(description="refused")
    def refused(self, limit: Limit) -> str:
        counted = counted_of(limit)
        return UNKNOWN if counted is None else f"{counted[1].refused:,}"

    @display(description="would have refused")
    def would_have(self, limit: Limit) -> str:
        counted = counted_of(limit)
        return UNKNOWN if counted is None else f"{counted[1].would:,}"

    @action(description="Set the totals of the chosen limits back to 0", permissions=["change"])
    def set_totals_back(self, request: HttpRequest, queryset: QuerySet[Limit]) -> None:
        limits = list(queryset)
        try:
            forget_totals(rules_of(limits))
        except redis.RedisError:
            self.message_user(request, AWAY, messages.ERROR)
            return
        for limit in limits:
            note(limit, "totals", "what was counted", "0")
        self.message_user(request, f"The totals of {len(limits)} limits begin again.")


class TrunkUse(Counted):
    """What a trunk carries, and whether it works."""

    readonly_fields = ("calls_up", "attempts_say")

    def count(self, rows: Sequence[Any]) -> None:
        capacities = [trunk for trunk in rows if trunk.max_calls]
        rules = [rule_of(trunk.capacity, 0) for trunk in capacities]
        for trunk, found in zip(capacities, usage(rules), strict=True):
            trunk.usage = found
        for trunk, state in zip(rows, trunk_states(row.name for row in rows).values(), strict=True):
            trunk.state = state

    @display(description="calls up")
    def calls_up(self, trunk: Trunk) -> str:
        if not trunk.max_calls:
            return "not counted: no limit"
        found: Usage | None = getattr(trunk, "usage", None)
        return UNKNOWN if found is None else f"{found.used:,.0f} of {trunk.max_calls:,}"

    @display(
        description="health",
        label={
            Health.UP.value: "success",
            Health.DEGRADED.value: "warning",
            Health.DOWN.value: "danger",
        },
    )
    def health(self, trunk: Trunk) -> tuple[str, str]:
        if trunk.health_override != Health.AUTO:
            return trunk.health_override, trunk.get_health_override_display()
        state: TrunkState | None = getattr(trunk, "state", None)
        return (state.health.value, state.health.value) if state else ("", UNKNOWN)

    @display(description="its attempts say")
    def attempts_say(self, trunk: Trunk) -> str:
        state: TrunkState | None = getattr(trunk, "state", None)
        if state is None:
            return UNKNOWN
        if state.health is Health.UP:
            return "up"
        since = moment_of(state.since_ms)
        return (
            f"{state.health} since {since:%Y-%m-%d %H:%M} UTC: "
            f"{state.failed} of {state.attempts} attempts failed"
        )
