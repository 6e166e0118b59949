"""Live calls: seen and ended."""

from datetime import datetime
from typing import Annotated

import redis
from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from calls.api.auth import Bearer, of
from calls.api.cursors import cursor_of, key_of
from calls.api.problems import ProblemDocument, not_found, redis_away
from calls.engine.hangup import hang_up
from calls.engine.live import LiveCall
from calls.engine.overview import Wanted, live_now, overview
from calls.models import ApiToken
from calls.store.overview import look_at
from cdr.moments import moment_of

router = Router(tags=["live calls"])


class LiveCallDocument(Schema):
    """A call that is up. Numbers are as they came from the caller, which may be any text."""

    call_id: str
    state: str
    node: str
    account: str
    caller: str
    callee: str
    started_at: datetime
    state_since: datetime
    trunk: str | None = None
    attempt: int


class LivePage(Schema):
    """Some live calls, the oldest first. ``next``: the cursor of those behind them, if any."""

    total: int
    calls: list[LiveCallDocument]
    next: str | None = None


class LiveFilter(Schema):
    """Which live calls."""

    account: str = ""
    trunk: str = ""
    node: str = ""
    state: str = ""
    number: str = Field("", description="digits that the caller's or the callee's number has")
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str = ""


class HangupDocument(Schema):
    """What came of asking for a call's end; it ends within a second."""

    call_id: str
    asked: bool


@router.get(
    "/calls",
    response={200: LivePage, 503: ProblemDocument},
    auth=Bearer("calls:read"),
    operation_id="list_live_calls",
    summary="Live calls",
)
def list_calls(request: HttpRequest, asked: Query[LiveFilter]) -> LivePage:
    token = of(request)
    # Or an account would find out by which carriers its calls go.
    trunk = asked.trunk if token.account is None else ""
    wanted = Wanted(asked.account, trunk, asked.node, asked.state, asked.number)
    try:
        calls = [each for each in live_now() if _is_for(token, each) and wanted.takes(each)]
    except redis.RedisError:
        raise redis_away() from None
    calls.sort(key=lambda call: (call.started_ms, call.call_id))
    after = key_of(asked.cursor, (int, str)) if asked.cursor else None
    left = [each for each in calls if after is None or [each.started_ms, each.call_id] > after]
    shown = left[: asked.limit]
    more = cursor_of(shown[-1].started_ms, shown[-1].call_id) if len(left) > len(shown) else None
    return LivePage(total=len(calls), calls=[_document(token, each) for each in shown], next=more)


@router.get(
    "/calls/{path:call_id}",
    response={200: LiveCallDocument, 404: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("calls:read"),
    operation_id="get_live_call",
    summary="One live call",
)
def get_call(request: HttpRequest, call_id: str) -> LiveCallDocument:
    """A call that is over is not here: see its record."""
    token = of(request)
    return _document(token, _live(token, call_id))


@router.delete(
    "/calls/{path:call_id}",
    response={202: HangupDocument, 404: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("calls:hangup"),
    operation_id="hang_up_call",
    summary="Hang a live call up",
)
def hang_up_call(request: HttpRequest, call_id: str) -> Status[HangupDocument]:
    """Both legs end within a second; the call's record names the token."""
    token = of(request)
    call = _live(token, call_id)
    try:
        asked = hang_up([call.call_id], token.who)
    except redis.RedisError:
        raise redis_away() from None
    return Status(202, HangupDocument(call_id=call.call_id, asked=bool(asked.calls)))


def _live(token: ApiToken, call_id: str) -> LiveCall:
    try:
        found = overview(look_at([call_id]))
    except redis.RedisError:
        raise redis_away() from None
    if not found or not _is_for(token, found[0]):
        raise not_found("live call of this id")
    return found[0]


def _is_for(token: ApiToken, call: LiveCall) -> bool:
    account = token.account
    if account is None:
        return True
    return account.code == call.account and account.had_its_code(moment_of(call.started_ms))


def _document(token: ApiToken, call: LiveCall) -> LiveCallDocument:
    return LiveCallDocument(
        call_id=call.call_id,
        state=call.state,
        node=call.node,
        account=call.account,
        caller=call.caller,
        callee=call.callee,
        started_at=moment_of(call.started_ms),
        state_since=moment_of(call.since_ms),
        # Which carriers there are is not an account's business.
        trunk=call.trunk if token.account is None else None,
        attempt=call.attempt,
    )
