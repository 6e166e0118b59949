"""The admin's icon and side bar: what is looked at every day first, to those who may see it."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _may(*permissions: str) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        return request.user.has_perms(permissions)

    return allowed


def _may_ask(request: HttpRequest) -> bool:
    # Settings read this module before there are any models.
    from calls.admin.explanation import MAY_ASK

    return request.user.has_perms(MAY_ASK)


def _entry(title: str, icon: str, model: str) -> dict[str, Any]:
    app, _, name = model.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}"),
    }


def style(request: HttpRequest) -> str:
    """What our own pages add to the admin's look."""
    return static("ringmaster/admin.css")


def lists_script(request: HttpRequest) -> str:
    """Takes the bar under a list away once the list fits, on every page."""
    return static("ringmaster/lists.js")


def times_script(request: HttpRequest) -> str:
    """Brings times into the viewer's zone, on every page."""
    return static("ringmaster/times.js")


def favicon(request: HttpRequest) -> str:
    """A ring, drawn in the address itself: no file to serve, none to miss in the log."""
    return (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
        "%3Ccircle cx='8' cy='8' r='5.5' fill='none' stroke='%239810fa' stroke-width='4'/%3E"
        "%3C/svg%3E"
    )


SECTIONS = [
    {
        "title": "Calls",
        "items": [
            {
                "title": "Dashboard",
                "icon": "monitoring",
                "link": reverse_lazy("admin:index"),
            },
            {
                "title": "Live calls",
                "icon": "phone_in_talk",
                "link": reverse_lazy("live"),
                "permission": _may("calls.view_call"),
            },
            _entry("Call records", "receipt_long", "cdr.cdr"),
            {
                "title": "Story of a call",
                "icon": "account_tree",
                "link": reverse_lazy("story_find"),
                "permission": _may("cdr.view_cdr"),
            },
            _entry("Archives", "inventory_2", "cdr.cdrarchive"),
            {
                "title": "Ledger",
                "icon": "fact_check",
                "link": reverse_lazy("ledger"),
                "permission": _may("cdr.view_cdr"),
            },
            {
                "title": "Reports",
                "icon": "bar_chart",
                "link": reverse_lazy("reports"),
                "permission": _may("cdr.view_cdr"),
            },
        ],
    },
    {
        "title": "Routing",
        "items": [
            _entry("Accounts", "badge", "calls.account"),
            _entry("Trunks", "dns", "calls.trunk"),
            _entry("Routes", "alt_route", "calls.route"),
            _entry("Canaries", "science", "calls.canary"),
            _entry("Blocklist", "block", "calls.block"),
            _entry("Limits", "speed", "calls.limit"),
            _entry("Alarms", "notification_important", "calls.alarm"),
            _entry("Drains", "water_drop", "calls.drain"),
            {
                "title": "Where would it go?",
                "icon": "help",
                "link": reverse_lazy("explain"),
                "permission": _may_ask,
            },
        ],
    },
    {
        "title": "Access",
        "items": [
            _entry("Users", "person", "auth.user"),
            _entry("Groups", "group", "auth.group"),
            _entry("API tokens", "vpn_key", "calls.apitoken"),
            _entry("Webhooks", "webhook", "calls.webhookendpoint"),
            _entry("Deliveries", "outgoing_mail", "calls.webhookdelivery"),
            _entry("Changes", "history", "calls.change"),
            _entry("Locks", "lock", "axes.accessattempt"),
            _entry("Sign-ins", "login", "axes.accesslog"),
            {
                "title": "My second factor",
                "icon": "key",
                "link": reverse_lazy("second_factor"),
                "permission": lambda request: request.user.is_staff,
            },
        ],
    },
]
