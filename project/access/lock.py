"""What somebody sees whose sign-ins are locked; django-axes counts, locks and logs."""

from typing import Any

from django.conf import settings
from django.contrib.admin import site
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

STATUS = 429


def who(
    username: str | None, ip_address: str, user_agent: str, path_info: str, request: HttpRequest
) -> str:
    """Whose sign-in it is, as a log line tells it: the address first, where no name that somebody
    gives can stand. docs/install/fail2ban reads it."""
    return f"{ip_address} as {(username or '')[:150]!r}"


def locked_out(
    request: HttpRequest, original_response: HttpResponse | None = None, credentials: Any = None
) -> HttpResponse:
    """Say that it is locked, for how long, and who can open it; the same for every name."""
    context = site.each_context(request) | {
        "title": "Sign-in is locked",
        "failures": settings.AXES_FAILURE_LIMIT,
        "minutes": round(settings.AXES_COOLOFF_TIME.total_seconds() / 60),
    }
    return render(request, "project/locked.html", context, status=STATUS)
