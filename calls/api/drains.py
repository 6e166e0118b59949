"""Drains: begun, looked at and ended. For tokens of staff."""

from datetime import datetime
from typing import Annotated, Literal

import redis
from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from calls.api.auth import Bearer, staff_only
from calls.api.problems import Problem, ProblemDocument, not_found, redis_away
from calls.engine.draining import (
    CannotDrain,
    Draining,
    Kind,
    NotThere,
    drain,
    drains,
    end_drain,
)

router = Router(tags=["drains"])

Named = Literal["node", "trunk", "worker"]


class DrainDocument(Schema):
    """Something that takes no new calls. ``left``: its calls that are up, or a worker's turns;
    ``state`` is ``empty`` once there are none."""

    kind: str
    name: str = Field(..., description="empty for the switch")
    state: Literal["draining", "empty"]
    left: int
    by: str
    why: str
    since: datetime


class DrainList(Schema):
    """All that is drained now."""

    rows: list[DrainDocument]


class DrainToBegin(Schema):
    """Why something is drained."""

    why: Annotated[str, Field(max_length=200)] = ""


@router.get(
    "/drains",
    response={200: DrainList, 503: ProblemDocument},
    auth=Bearer("config:read"),
    operation_id="list_drains",
    summary="What is drained, and how many calls are left",
)
def list_drains(request: HttpRequest) -> DrainList:
    staff_only(request, "calls.view_drain")
    return DrainList(rows=[_document(each) for each in _all()])


@router.get(
    "/drains/switch",
    response={200: DrainDocument, 404: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("config:read"),
    operation_id="get_drain_of_switch",
    summary="The drain of the whole switch",
)
def get_switch(request: HttpRequest) -> DrainDocument:
    staff_only(request, "calls.view_drain")
    return _one(Kind.SWITCH, "")


@router.put(
    "/drains/switch",
    response={200: DrainDocument, 503: ProblemDocument},
    auth=Bearer("drains:write"),
    operation_id="drain_switch",
    summary="Drain the whole switch",
)
def put_switch(request: HttpRequest, told: DrainToBegin) -> DrainDocument:
    """Every new call is refused with 503 until this is ended."""
    return _begin(request, Kind.SWITCH, "", told.why)


@router.delete(
    "/drains/switch",
    response={204: None, 404: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("drains:write"),
    operation_id="end_drain_of_switch",
    summary="Take new calls again",
)
def delete_switch(request: HttpRequest) -> Status[None]:
    return _end(request, Kind.SWITCH, "")


@router.get(
    "/drains/{kind}/{name}",
    response={200: DrainDocument, 404: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("config:read"),
    operation_id="get_drain",
    summary="One drain",
)
def get_drain(request: HttpRequest, kind: Named, name: str) -> DrainDocument:
    """404: it is not drained."""
    staff_only(request, "calls.view_drain")
    return _one(Kind(kind), name)


@router.put(
    "/drains/{kind}/{name}",
    response={200: DrainDocument, 404: ProblemDocument, 409: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("drains:write"),
    operation_id="begin_drain",
    summary="Drain a node, a trunk or a worker",
)
def put_drain(request: HttpRequest, kind: Named, name: str, told: DrainToBegin) -> DrainDocument:
    """Again it is the same drain, which stays as it was begun. A worker is named ``host:pid``;
    the last one that attends to calls cannot be drained (409)."""
    return _begin(request, Kind(kind), name, told.why)


@router.delete(
    "/drains/{kind}/{name}",
    response={204: None, 404: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("drains:write"),
    operation_id="end_drain",
    summary="Take new calls again",
)
def delete_drain(request: HttpRequest, kind: Named, name: str) -> Status[None]:
    return _end(request, Kind(kind), name)


def _begin(request: HttpRequest, kind: Kind, name: str, why: str) -> DrainDocument:
    token = staff_only(request, "calls.add_drain")
    try:
        drain(kind, name, by=token.who, why=why)
    except NotThere as error:
        raise Problem(404, "not-found", str(error)) from error
    except CannotDrain as error:
        raise Problem(409, "cannot-drain", str(error)) from error
    except redis.RedisError:
        raise redis_away() from None
    return _one(kind, name)


def _end(request: HttpRequest, kind: Kind, name: str) -> Status[None]:
    staff_only(request, "calls.delete_drain")
    try:
        ended = end_drain(kind, name)
    except redis.RedisError:
        raise redis_away() from None
    if not ended:
        raise not_found(_words(kind, name))
    return Status(204, None)


def _one(kind: Kind, name: str) -> DrainDocument:
    found = [each for each in _all() if each.kind is kind and each.name == name]
    if not found:
        raise not_found(_words(kind, name))
    return _document(found[0])


def _all() -> list[Draining]:
    try:
        return drains()
    except redis.RedisError:
        raise redis_away() from None


def _words(kind: Kind, name: str) -> str:
    return f"drain of {kind} {name[:80]!r}" if name else "drain of the switch"


def _document(drain: Draining) -> DrainDocument:
    return DrainDocument(
        kind=drain.kind,
        name=drain.name,
        state="draining" if drain.left else "empty",
        left=drain.left,
        by=drain.by,
        why=drain.why,
        since=drain.since,
    )
