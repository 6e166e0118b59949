"""Accounts, trunks, routes and limits: read and written."""

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field, create_model

from calls.api.auth import Bearer, of, require, staff_only
from calls.api.cursors import cursor_of, key_of
from calls.api.kinds import KINDS, Kind
from calls.api.problems import Problem, ProblemDocument
from calls.models import ApiToken, Route

router = Router(tags=["configuration"])


_TRUNKS_OF_ROUTES = ("calls.view_routetarget", "calls.view_trunk")
"""Without which nobody is told a route here: its trunks are a part of it."""


class PageFilter(Schema):
    """Which page of a list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str = ""


def _may_read(request: HttpRequest, kind: Kind) -> ApiToken:
    token = of(request)
    if token.account is not None and not kind.of_accounts:
        raise Problem(403, "staff-only", f"{kind.word.capitalize()}s are for tokens of staff.")
    require(token, kind.permission("view"), *_TRUNKS_OF_ROUTES if kind.model is Route else ())
    return token


def may_write(request: HttpRequest, kind: Kind, verb: str) -> ApiToken:
    """The token, whose user may do this to the kind as in the admin. Raises Problem."""
    needs = [kind.permission(verb)]
    if kind.model is Route:
        # As the admin's lines of trunks in a route's form.
        needs += [f"calls.{each}_routetarget" for each in ("add", "change", "delete")]
        needs += ["calls.view_trunk"]
    return staff_only(request, *needs)


def _add(path: str, kind: Kind) -> None:
    """The addresses of one kind."""
    shown, change = kind.shown, kind.change
    listed: Any = create_model(
        f"{kind.word.capitalize()}Page",
        __base__=Schema,
        rows=(list[shown], ...),  # type: ignore[valid-type]
        next=(str | None, None),
    )
    key = "{int:key}" if kind.key == "pk" else "{key}"
    key_type = int if kind.key == "pk" else str
    problems: dict[Any, Any] = {404: ProblemDocument, 422: ProblemDocument}

    @router.get(
        f"/{path}",
        response={200: listed},
        auth=Bearer("config:read"),
        operation_id=f"list_{path}",
        summary=path.capitalize(),
    )
    def list_rows(request: HttpRequest, asked: Query[PageFilter]) -> dict[str, Any]:
        token = _may_read(request, kind)
        rows = kind.rows(token.account)
        if asked.cursor:
            rows = rows.filter(pk__gt=key_of(asked.cursor, (int,))[0])
        found = list(rows[: asked.limit + 1])
        shown = found[: asked.limit]
        more = cursor_of(shown[-1].pk) if len(found) > len(shown) else None
        return {"rows": [kind.document(row, token.account) for row in shown], "next": more}

    @router.get(
        f"/{path}/{key}",
        response={200: shown, 404: ProblemDocument},
        auth=Bearer("config:read"),
        operation_id=f"get_{kind.word}",
        summary=f"One {kind.word}",
    )
    def get_row(request: HttpRequest, key: key_type) -> dict[str, Any]:  # type: ignore[valid-type]
        token = _may_read(request, kind)
        return kind.document(kind.get(str(key), token.account), token.account)

    @router.post(
        f"/{path}",
        response={201: shown, 422: ProblemDocument},
        auth=Bearer("config:write"),
        operation_id=f"create_{kind.word}",
        summary=f"A new {kind.word}",
    )
    def create_row(request: HttpRequest, told: change) -> Status[dict[str, Any]]:  # type: ignore[valid-type]
        may_write(request, kind, "add")
        fields = told.dict(exclude_unset=True)  # type: ignore[attr-defined]
        return Status(201, kind.document(kind.write(kind.model(), fields)))

    @router.patch(
        f"/{path}/{key}",
        response={200: shown, **problems},
        auth=Bearer("config:write"),
        operation_id=f"change_{kind.word}",
        summary=f"Change one {kind.word}",
    )
    def change_row(
        request: HttpRequest,
        key: key_type,  # type: ignore[valid-type]
        told: change,  # type: ignore[valid-type]
    ) -> dict[str, Any]:
        may_write(request, kind, "change")
        fields = told.dict(exclude_unset=True)  # type: ignore[attr-defined]
        return kind.document(kind.write(kind.get(str(key)), fields))

    @router.delete(
        f"/{path}/{key}",
        response={204: None, 404: ProblemDocument, 409: ProblemDocument},
        auth=Bearer("config:write"),
        operation_id=f"delete_{kind.word}",
        summary=f"Delete one {kind.word}",
    )
    def delete_row(request: HttpRequest, key: key_type) -> Status[None]:  # type: ignore[valid-type]
        may_write(request, kind, "delete")
        kind.delete(kind.get(str(key)))
        return Status(204, None)


for _path, _kind in KINDS.items():
    _add(_path, _kind)
