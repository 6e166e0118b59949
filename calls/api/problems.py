"""Errors of the API: RFC 9457 (problem+json), with a name that stays and a sentence."""

from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Schema

CONTENT_TYPE = "application/problem+json"


class Wrong(Schema):
    """One field that is wrong."""

    field: str
    message: str


class ProblemDocument(Schema):
    """An error. ``type`` stays the same from version to version; ``detail`` is for people."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Wrong] = []


class Problem(Exception):
    """A request that is not done, and why."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        errors: list[tuple[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.errors = errors or []
        self.headers = headers or {}

    def answer(self) -> HttpResponse:
        """The problem as it is sent."""
        document: dict[str, Any] = {
            "type": f"urn:ringmaster:problem:{self.name}",
            "title": self.name.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [
                {"field": field, "message": message} for field, message in self.errors
            ]
        return HttpResponse(
            orjson.dumps(document),
            content_type=CONTENT_TYPE,
            status=self.status,
            headers={"Cache-Control": "no-store", **self.headers},
        )


def not_found(what: str) -> Problem:
    """There is no such thing, or none that the token may see."""
    return Problem(404, "not-found", f"There is no {what}, or it is not for this token.")


def no_such_address(request: HttpRequest, rest: str = "") -> HttpResponse:
    """For whatever else begins with the API's address."""
    detail = f"The API has no address {request.path!r}; /api/v1/openapi.json names all."
    return Problem(404, "no-such-address", detail).answer()


def redis_away() -> Problem:
    """Redis does not answer. One for each request: what is raised keeps the frames that it met."""
    return Problem(
        503,
        "redis-away",
        "Redis (REDIS_URL) does not answer. Calls that are up go on; ask again in a moment.",
        headers={"Retry-After": "2"},
    )
