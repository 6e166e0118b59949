"""The admin's icon and side bar: what is looked at every day first, to those who may see it."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    def allowed(request: HttpRequest) -> bool:
        return request.user.has_perm(permission)

    return allowed


def _entry(title: str, icon: str, model: str) -> dict[str, Any]:
    app, _, name = model.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}"),
    }


def favicon(request: HttpRequest) -> str:
    """A ring, drawn in the address itself: no file to serve, none to miss in the log."""
    return (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
        "%3Ccircle cx='8' cy='8' r='5.5' fill='none' stroke='%239810fa' stroke-width='4'/%3E"
        "%3C/svg%3E"
    )


SECTIONS = [
    {"title": "Calls", "items": [_entry("Call records", "receipt_long", "cdr.cdr")]},
    {
        "title": "Routing",
        "items": [
            _entry("Accounts", "badge", "calls.account"),
            _entry("Trunks", "dns", "calls.trunk"),
            _entry("Routes", "alt_route", "calls.route"),
            _entry("Blocklist", "block", "calls.block"),
            _entry("Limits", "speed", "calls.limit"),
            {
                "title": "Where would it go?",
                "icon": "help",
                "link": reverse_lazy("explain"),
                "permission": _may("calls.view_route"),
            },
        ],
    },
    {
        "title": "Access",
        "items": [
            _entry("Users", "person", "auth.user"),
            _entry("Groups", "group", "auth.group"),
        ],
    },
]
