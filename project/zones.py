"""Times in the viewer's zone.

A browser says its zone in the cookie `COOKIE`, set by calls/static/ringmaster/times.js; it is
used for what a page shows and for dates typed into its filters. Without it, or with one that is
no zone, times are UTC. Nothing is stored in a zone but UTC.
"""

import zoneinfo
from collections.abc import Callable
from urllib.parse import unquote

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

COOKIE = "ringmaster_zone"
LONGEST = 64


class ViewerZone:
    """Middleware: activates the zone that the browser named for the time of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        zone = named(request.COOKIES.get(COOKIE, ""))
        if zone is None:
            return self._get_response(request)
        with timezone.override(zone):
            return self._get_response(request)


def named(text: str) -> zoneinfo.ZoneInfo | None:
    """The zone of this name, as a cookie brings it; None for anything else."""
    name = unquote(text)
    if not 0 < len(name) <= LONGEST:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None
