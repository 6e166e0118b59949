"""Errors of the API that something before it answers, told as the API tells its own."""

from collections.abc import Callable
from http.client import responses

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from calls.api.problems import CONTENT_TYPE, Problem

ADDRESS = "/api/"
_NAMES = {400: "bad-request", 405: "no-such-method", 413: "too-long", 500: "fault"}


class EveryErrorIsAProblem:
    """Middleware, before all that answers: a method that an address has not, a request that is not
    to be read, a fault of ours."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = self._get_response(request)
        if answer.status_code < 400 or not request.path_info.startswith(ADDRESS):
            return answer
        told = answer.headers.get("Content-Type", "")
        # Whoever debugs wants Django's page of the fault.
        if told == CONTENT_TYPE or (settings.DEBUG and answer.status_code == 500):
            return answer
        return _told(request, answer)


def _told(request: HttpRequest, answer: HttpResponseBase) -> HttpResponse:
    status = answer.status_code
    kept = {
        name: value
        for name, value in answer.headers.items()
        if name in ("Allow", "Retry-After", "WWW-Authenticate")
    }
    name = _NAMES.get(status, responses.get(status, "error").lower().replace(" ", "-"))
    return Problem(status, name, _sentence(request, answer), headers=kept).answer()


def _sentence(request: HttpRequest, answer: HttpResponseBase) -> str:
    status = answer.status_code
    if status == 405:
        allowed = answer.headers.get("Allow", "other methods")
        return f"The address {request.path} takes {allowed}, not {request.method}."
    if status >= 500:
        return "This is a fault of Ringmaster's: the log of the web process says what went wrong."
    if status == 413:
        return "This request is longer than what is taken here."
    plain = answer.headers.get("Content-Type", "").startswith("text/plain")
    if plain and isinstance(answer, HttpResponse):
        return answer.content.decode(errors="replace").strip()
    return f"This request is refused ({responses.get(status, status)})."
