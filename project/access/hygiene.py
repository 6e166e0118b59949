"""What no request may be: longer than anything here needs, or with a NUL in it.

PostgreSQL keeps no NUL, so that one in any filter, key or field would end as a fault somewhere
behind. A long body would be spooled to the disk before anybody looked at who sends it, as the check
of the form's token reads the whole of it.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.db import DataError
from django.http import HttpRequest, HttpResponse

MOST_BYTES = 4_500_000
"""A file of routes may have 4,000,000; the form around it takes a few hundred."""

logger = logging.getLogger(__name__)


class Hygiene:
    """Middleware, before everything that reads a request's body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _length(request) > MOST_BYTES:
            return _refused(
                f"This request is longer than the {MOST_BYTES:,} bytes that are taken here. "
                "Longer files of routes are imported with manage.py import_routes.",
                413,
            )
        if "\0" in request.path_info or _holds_nul(request.GET.lists()):
            return _refused(_NUL, 400)
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponse | None:
        # Here the session is known and the body is no longer than above.
        return _refused(_NUL, 400) if _holds_nul(request.POST.lists()) else None

    def process_exception(self, request: HttpRequest, fault: Exception) -> HttpResponse | None:
        """What a filter asks for may be no value that the database or Python has."""
        if request.method != "GET" or not isinstance(fault, OverflowError | DataError):
            return None
        logger.warning("A request asked %s for what cannot be: %s", request.path, fault)
        return _refused("This address asks for a number or a time that nothing here can have.", 400)


_NUL = "This request holds a NUL character, which nothing here can contain. Take it out."


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        # Django takes it for an empty body.
        return 0


def _holds_nul(fields: Iterable[tuple[str, list[Any]]]) -> bool:
    return any("\0" in text for name, values in fields for text in (name, *map(str, values)))


def _refused(sentence: str, status: int) -> HttpResponse:
    return HttpResponse(sentence + "\n", content_type="text/plain; charset=utf-8", status=status)
