"""What machines ask the web process: Prometheus, and whoever watches its health."""

import hmac
import ipaddress
import threading
import time
from collections.abc import Sequence

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from ari_bridge import health
from calls.store import exporter
from project.access.address import FORWARDED

REMEMBERED_S = 0.5
"""However often it is asked, what is needed is looked at so often and no more."""

_registry = exporter.registry()
_lock = threading.Lock()
_looked: dict[str, tuple[float, Sequence[health.Check]]] = {}


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answer 200 while the web process serves; it asks neither database nor Redis."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def ready(request: HttpRequest, process: str = "web") -> HttpResponse:
    """Answer 200 while what this kind of process needs answers, else 503; `switch` is all of them.

    The sentences are for those who may look.
    """
    checks = sorted(_look(process), key=lambda check: check.well)
    well = all(check.well for check in checks)
    if may_look(request):
        lines = [f"{'well' if one.well else 'WRONG'}  {one.sentence}" for one in checks]
    else:
        lines = ["ok" if well else "not ready"]
    return HttpResponse(
        "\n".join(lines) + "\n",
        status=200 if well else 503,
        content_type="text/plain; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )


def _look(process: str) -> Sequence[health.Check]:
    with _lock:
        looked_s, checks = _looked.get(process, (float("-inf"), ()))
        if time.monotonic() - looked_s >= REMEMBERED_S:
            checks = health.look(process)
            _looked[process] = time.monotonic(), checks
        return checks


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """What all processes count, for Prometheus: see docs/metrics.md."""
    if not may_look(request):
        return HttpResponse(
            "For this machine, staff, and those who send METRICS_TOKEN as their bearer token.\n",
            status=401,
            content_type="text/plain",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return HttpResponse(exporter.text(_registry), content_type=CONTENT_TYPE_LATEST)


def may_look(request: HttpRequest) -> bool:
    """Whether this is from this machine, by staff, or with METRICS_TOKEN."""
    token, sent = settings.METRICS_TOKEN, request.headers.get("Authorization", "")
    if token and hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        return True
    return _is_loopback(request) or _is_staff(request)


def _is_staff(request: HttpRequest) -> bool:
    try:
        return bool(request.user.is_active and request.user.is_staff)
    except Error:
        # Who signed in stands in the database, which may be what is looked for.
        return False


def _is_loopback(request: HttpRequest) -> bool:
    """Whether this machine asks, and no proxy on it for somebody else."""
    try:
        address = ipaddress.ip_address(str(request.META.get("REMOTE_ADDR") or ""))
    except ValueError:
        return False
    return address.is_loopback and FORWARDED not in request.META
