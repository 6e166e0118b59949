"""Accounts that jumped, and stopping an account at once."""

import redis
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from calls.engine.overview import live_now
from calls.engine.stopping import end_calls_of
from calls.models import Account, Alarm
from calls.store.changes import former_codes
from calls.store.overview import AWAY
from cdr.pages import page


class AlarmAdmin(ModelAdmin):
    """Read only: the records worker writes alarms, people say that they have looked at them."""

    empty_title = "No account has jumped."
    empty_help = (
        "An alarm says that an account's last hour was several times what is usual for it: calls, "
        "countries or minutes. The records worker looks every five minutes."
    )
    list_display = ("account", "shown_kind", "seen", "usual", "at", "shown_looked_at")
    list_filter = ("kind",)
    search_fields = ("account",)
    list_fullwidth = True
    actions = ("looked_at",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Alarm | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Alarm | None = None) -> list[str]:
        return [field.name for field in Alarm._meta.fields if field.name != "id"]

    @display(description="what jumped", ordering="kind", label=True)
    def shown_kind(self, alarm: Alarm) -> str:
        return alarm.get_kind_display()

    @display(description="looked at by", label={"nobody": "danger", "somebody": "success"})
    def shown_looked_at(self, alarm: Alarm) -> tuple[str, str]:
        return ("somebody", alarm.looked_at_by) if alarm.looked_at_by else ("nobody", "nobody yet")

    @action(description="I have looked at these", permissions=["change"])
    def looked_at(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> None:
        count = queryset.filter(looked_at_by="").update(looked_at_by=request.user.get_username())
        self.message_user(request, f"{count} alarms are looked at.")


class StopAction:
    """The action that stops accounts, for the admin of accounts."""

    @action(description="End all calls and disable", permissions=["stop"])
    def stop_accounts(
        self, request: HttpRequest, queryset: QuerySet[Account]
    ) -> HttpResponse | None:
        """First the question, then: disable, which refuses new calls, and end those that are up."""
        accounts = list(queryset)
        codes = [account.code for account in accounts]
        former = former_codes(accounts)
        if "confirmed" not in request.POST:
            context = {
                "codes": codes,
                "count": _count(codes, former),
                "pks": [account.pk for account in accounts],
                "action_url": request.get_full_path(),
            }
            return page(request, "calls/stop_accounts.html", "Stop?", context)
        for account in accounts:
            account.enabled = False
            account.save(update_fields=["enabled"])
        try:
            stopped = end_calls_of(codes, request.user.get_username(), former=former)
        except redis.RedisError:
            messages.error(request, f"{', '.join(codes)}: disabled. {AWAY} Do it again then.")
            return None
        messages.success(
            request,
            f"{', '.join(codes)}: disabled; asked for the end of {len(stopped.calls):,} calls. "
            f"{stopped.slow}",
        )
        if stopped.unread:
            messages.warning(
                request,
                f"{len(stopped.unread):,} calls that are up cannot be read, and nobody can tell "
                f"whose they are: {', '.join(stopped.unread[:5])}. `manage.py hangup_call` ends "
                "one by its id.",
            )
        return None

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Whoever may change accounts and hang up."""
        return request.user.has_perm("calls.change_account") and request.user.has_perm(
            "calls.hangup_call"
        )


def _count(codes: list[str], former: dict[str, int]) -> int | None:
    try:
        return sum(
            call.account in codes or call.started_ms <= former.get(call.account, -1)
            for call in live_now()
        )
    except redis.RedisError:
        return None
