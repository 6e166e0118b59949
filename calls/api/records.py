"""Call records: found by what they are usually asked by, page by page, the newest first."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from calls.api.auth import Bearer, of
from calls.api.cursors import cursor_of, key_of
from calls.api.problems import Problem, ProblemDocument, not_found
from calls.models import ApiToken
from cdr.document import without_carriers
from cdr.models import DISPOSITIONS, Cdr, CdrAttempt
from cdr.moments import moment_of, ms_of

DEFAULT_WINDOW = timedelta(days=1)
LONGEST_CALL = timedelta(days=1, hours=1)
"""No call is longer: MAX_CALL_S is a day at most, and nobody is called for an hour. Records are
found by when their calls began."""
router = Router(tags=["call records"])


class AttemptDocument(Schema):
    """One trunk's turn in a call."""

    number: int
    trunk: str
    outcome: str
    callee_sent: str
    started_at: datetime | None = None
    progress_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    pdd_ms: int | None = None
    q850_cause: int | None = None
    sip_code: int | None = None
    reason: str
    sip_call_id: str


class CdrDocument(Schema):
    """One call record. ``*_ms`` are milliseconds, ``billsec`` begun seconds of talk. ``prefix``,
    ``route``, ``trunk`` and ``attempts`` are for tokens of staff."""

    call_id: str
    node: str
    started_at: datetime
    progress_at: datetime | None = None
    ringing_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime
    pdd_ms: int | None = None
    ring_ms: int | None = None
    duration_ms: int
    talk_ms: int
    billsec: int
    account: str
    caller_received: str
    caller_name: str
    caller_normalised: str
    caller_sent: str
    callee_received: str
    callee_normalised: str
    callee_sent: str
    disposition: str
    q850_cause: int | None = None
    sip_code: int | None = None
    sip_code_heard: int | None = None
    ended_by: str
    reason: str
    calls: int
    integrity: str
    sip_call_id: str
    caller_mos: float | None = None
    caller_jitter_ms: float | None = None
    caller_loss_percent: float | None = None
    caller_rtt_ms: float | None = None
    callee_mos: float | None = None
    callee_jitter_ms: float | None = None
    callee_loss_percent: float | None = None
    callee_rtt_ms: float | None = None
    prefix: str | None = None
    route: str | None = None
    trunk: str | None = None
    canary: str | None = None
    attempts: list[AttemptDocument] | None = None


class CdrPage(Schema):
    """Some records, the newest first. ``next``: the cursor of the older ones, if any."""

    cdrs: list[CdrDocument]
    next: str | None = None


class CdrFilter(Schema):
    """Which records. Without ``since`` and ``ended_since``: of the last day."""

    since: datetime | None = Field(None, description="started then or later")
    until: datetime | None = Field(None, description="started before then")
    ended_since: datetime | None = Field(
        None, description="ended then or later: for whoever fetches new records again and again"
    )
    account: str = ""
    trunk: str = Field("", description="for tokens of staff")
    disposition: str = ""
    callee: str = Field("", pattern="^[0-9]{0,32}$", description="first digits, country code first")
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: str = ""


@router.get(
    "/cdrs",
    response={200: CdrPage, 422: ProblemDocument},
    auth=Bearer("cdrs:read"),
    operation_id="list_cdrs",
    summary="Call records",
)
def list_cdrs(request: HttpRequest, asked: Query[CdrFilter]) -> CdrPage:
    """Go on with ``cursor`` = ``next`` and the other filters unchanged until there is none. Each
    record comes once; one that is written meanwhile may come or not: ask again."""
    token = of(request)
    rows = _asked(_of_token(token), token, asked)
    if asked.cursor:
        at_us, pk = key_of(asked.cursor, (int, int))
        at = moment_of(at_us // 1000) + timedelta(microseconds=at_us % 1000)
        rows = rows.filter(started_at__lte=at).exclude(started_at=at, pk__gte=pk)
    rows = rows.order_by("-started_at", "-id").prefetch_related("attempts")
    found = list(rows[: asked.limit + 1])
    shown = found[: asked.limit]
    more = cursor_of(_us(shown[-1].started_at), shown[-1].pk) if len(found) > len(shown) else None
    return CdrPage(cdrs=[_document(token, row) for row in shown], next=more)


@router.get(
    "/cdrs/{path:call_id}",
    response={200: CdrDocument, 404: ProblemDocument},
    auth=Bearer("cdrs:read"),
    operation_id="get_cdr",
    summary="The record of one call",
)
def get_cdr(request: HttpRequest, call_id: str) -> CdrDocument:
    """There is none while the call is up, and for about a second after it."""
    token = of(request)
    row = _of_token(token).prefetch_related("attempts").filter(call_id=call_id).first()
    if row is None:
        raise not_found("record of this call")
    return _document(token, row)


def _of_token(token: ApiToken) -> QuerySet[Cdr]:
    rows = Cdr.objects.all()
    if token.account is None:
        return rows
    rows = rows.filter(account=token.account.code)
    since = token.account.code_since
    return rows if since is None else rows.filter(started_at__gte=since)


def _asked(rows: QuerySet[Cdr], token: ApiToken, asked: CdrFilter) -> QuerySet[Cdr]:
    until = asked.until
    ended_since = asked.ended_since and _aware(asked.ended_since)
    if asked.since is not None:
        since = asked.since
    elif ended_since is not None:
        since = ended_since - LONGEST_CALL
    else:
        since = (until or timezone.now()) - DEFAULT_WINDOW
    wanted = Q(started_at__gte=_aware(since))
    if ended_since is not None:
        wanted &= Q(ended_at__gte=ended_since)
    if until is not None:
        wanted &= Q(started_at__lt=_aware(until))
    if asked.disposition:
        if asked.disposition not in set(DISPOSITIONS):
            words = ", ".join(DISPOSITIONS)
            raise Problem(422, "invalid", f"disposition is one of: {words}.")
        wanted &= Q(disposition=asked.disposition)
    if asked.account:
        wanted &= Q(account=asked.account)
    if asked.trunk and token.account is None:
        wanted &= Q(trunk=asked.trunk)
    if asked.callee:
        wanted &= Q(callee_normalised__startswith=asked.callee)
    return rows.filter(wanted)


def _aware(moment: datetime) -> datetime:
    """What names no zone is in UTC."""
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _us(moment: datetime) -> int:
    """Microseconds since the epoch: records' times are that exact."""
    return ms_of(moment.replace(microsecond=0)) * 1000 + moment.microsecond


def _document(token: ApiToken, row: Cdr) -> CdrDocument:
    told = _fields(CdrDocument, row)
    if token.account is None:
        told["attempts"] = [
            AttemptDocument(**_fields(AttemptDocument, each)) for each in row.attempts.all()
        ]
    else:
        told = without_carriers(told)
    return CdrDocument(**told)


def _fields(schema: type[Schema], row: Cdr | CdrAttempt) -> dict[str, Any]:
    """What the schema names of a row: a field that is new in the table is not told by itself."""
    return {name: getattr(row, name) for name in schema.model_fields if name != "attempts"}
