"""Where a request comes from.

A client can write anything into X-Forwarded-For; only the last entries are by proxies of ours. So
the header is read once, here, and then taken off: locks and the audit log see one address only.
"""

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

FORWARDED = "ringmaster.forwarded"
"""In META of a request that came through a proxy, or says so."""
_OTHERS = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_PORT", "HTTP_X_REAL_IP")


class ClientAddress:
    """Middleware that puts the client's own address into REMOTE_ADDR; must be the first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        claimed = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        others = [request.META.pop(header, "") for header in _OTHERS]
        if claimed or any(others):
            # Whatever it claims, it came through a proxy, and one on this machine is not its user.
            request.META[FORWARDED] = True
        request.META["REMOTE_ADDR"] = (
            client_address(claimed, settings.PROXIES) or request.META.get("REMOTE_ADDR") or ""
        )
        return self._get_response(request)


def client_address(forwarded_for: str, proxies: int) -> str:
    """The address that the outermost of ``proxies`` trusted proxies saw; empty if none is told."""
    hops = forwarded_for.split(",")
    if not proxies or len(hops) < proxies:
        return ""
    try:
        return str(ipaddress.ip_address(hops[-proxies].strip().strip("[]")))
    except ValueError:
        return ""
