"""What somebody sees whose sign-ins are locked; django-axes counts, locks and logs."""

import logging
from typing import Any

from django.conf import settings
from django.contrib.admin import site
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

STATUS = 429

logger = logging.getLogger(__name__)


def who(
    username: str | None, ip_address: str, user_agent: str, path_info: str, request: HttpRequest
) -> str:
    """Whose sign-in it is, as a log line tells it: the address first, where no name that somebody
    gives can stand. docs/install/fail2ban reads it."""
    return f"{ip_address} as {(username or '')[:150]!r}"


def locked_out(
    request: HttpRequest, original_response: HttpResponse | None = None, credentials: Any = None
) -> HttpResponse:
    """Say that it is locked, for how long, and who can open it; the same for every name.

    django-axes says nothing of tries during a lock, and five a lock are too few for fail2ban to ban
    whoever goes on: each gets a line here.
    """
    if getattr(request, "axes_failures_since_start", None) is None:
        address: str = request.axes_ip_address  # type: ignore[attr-defined]
        name = (credentials or {}).get("username")
        logger.warning(
            "A sign-in was tried during a lock by %s.", who(name, address, "", "", request)
        )
    context = site.each_context(request) | {
        "title": "Sign-in is locked",
        "failures": settings.AXES_FAILURE_LIMIT,
        "minutes": round(settings.AXES_COOLOFF_TIME.total_seconds() / 60),
    }
    return render(request, "project/locked.html", context, status=STATUS)
