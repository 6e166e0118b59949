"""Where a call would go, and what a change of the configuration would do to past calls."""

from datetime import datetime
from typing import Any, Literal

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field
from pydantic import ValidationError as Unfitting

from calls.api.auth import Bearer, require, staff_only
from calls.api.configuration import may_write
from calls.api.kinds import KINDS
from calls.api.problems import Problem, ProblemDocument
from calls.whatif import replay
from calls.whatif.explanation import explain
from calls.whatif.replay_calls import Snapshot, past_calls
from cdr.moments import moment_of, ms_of

router = Router(tags=["routing"])

Path = Literal["accounts", "trunks", "routes", "limits"]


class Question(Schema):
    """A call that nobody makes."""

    account: str = Field(..., max_length=80, description="code of the account that calls")
    number: str = Field(..., max_length=200, description="as the caller would dial it")
    caller: str = Field("", max_length=200)
    at: datetime | None = Field(None, description="without it: now")


class StepDocument(Schema):
    """One thing that was looked at."""

    topic: str
    subject: str
    mark: str
    detail: str


class Answer(Schema):
    """Where the call would go now, and why."""

    routed: bool
    verdict: str
    callee: str
    caller: str
    route: str
    disposition: str | None = None
    cause: int | None = None
    trunks: list[str]
    steps: list[StepDocument]


class ChangeToTry(Schema):
    """One change, told as for the address of its kind. Without ``key`` a new row, without
    ``fields`` the row's end."""

    kind: Path
    key: str | None = None
    fields: dict[str, Any] | None = None


class ExampleDocument(Schema):
    """One past call that would go another way."""

    call_id: str
    started_at: datetime
    account: str
    dialled: str
    before: str
    after: str


class GroupDocument(Schema):
    """Calls that would change in the same way."""

    effect: str
    before: str
    after: str
    count: int
    examples: list[ExampleDocument]


class ReplayDocument(Schema):
    """What the change would do to the last calls. Nothing was saved."""

    calls: int
    changed: int
    unchanged: int
    first_at: datetime | None = None
    last_at: datetime | None = None
    groups: list[GroupDocument]


@router.post(
    "/explain",
    response={200: Answer, 422: ProblemDocument},
    auth=Bearer("routes:explain"),
    operation_id="explain_route",
    summary="Where would a call go, and why",
)
def explain_route(request: HttpRequest, asked: Question) -> Answer:
    """By the live path's own query and choice; nothing is called and nothing counted."""
    staff_only(request)
    at = asked.at or timezone.now()
    explained = explain(asked.number, account=asked.account, caller=asked.caller, at_ms=ms_of(at))
    found = explained.found
    return Answer(
        routed=explained.routed,
        verdict=explained.verdict,
        callee=found.callee,
        caller=found.caller,
        route=found.route,
        disposition=getattr(found, "disposition", None),
        cause=getattr(found, "cause", None),
        trunks=[each.trunk for each in found.targets if not each.skipped],
        steps=[
            StepDocument(topic=each.topic, subject=each.subject, mark=each.mark, detail=each.detail)
            for each in found.steps
        ],
    )


@router.post(
    "/replay",
    response={200: ReplayDocument, 404: ProblemDocument, 422: ProblemDocument},
    auth=Bearer("config:write"),
    operation_id="replay_change",
    summary="What a change would do to past calls",
)
def replay_change(request: HttpRequest, told: ChangeToTry) -> ReplayDocument:
    """The change is made, the last REPLAY_CALLS calls are decided by it, and it is undone before
    anybody sees it."""
    kind = KINDS[told.kind]
    verb = "add" if told.key is None else "delete" if told.fields is None else "change"
    token = may_write(request, kind, verb)
    require(token, "cdr.view_cdr", "calls.view_trunk", "calls.view_route")
    try:
        fields = kind.change(**(told.fields or {})).dict(exclude_unset=True)
    except Unfitting as error:
        wrong = [(".".join(map(str, each["loc"])), str(each["msg"])) for each in error.errors()]
        raise Problem(422, "invalid", f"The fields are no {kind.word}'s.", wrong) from error
    calls = past_calls(settings.REPLAY_CALLS)
    before = Snapshot.take(calls)
    with transaction.atomic():
        if told.key is None:
            kind.write(kind.model(), fields)
        elif told.fields is None:
            kind.delete(kind.get(told.key))
        else:
            kind.write(kind.get(told.key), fields)
        after = Snapshot.take(calls)
        transaction.set_rollback(True)
    return _document(replay.compare(calls, before.decisions(calls), after.decisions(calls)))


def _document(report: replay.Report) -> ReplayDocument:
    return ReplayDocument(
        calls=report.calls,
        changed=report.changed,
        unchanged=report.unchanged,
        first_at=moment_of(report.first_ms) if report.first_ms is not None else None,
        last_at=moment_of(report.last_ms) if report.last_ms is not None else None,
        groups=[
            GroupDocument(
                effect=group.effect,
                before=group.before,
                after=group.after,
                count=group.count,
                examples=[
                    ExampleDocument(
                        call_id=each.call.call_id,
                        started_at=moment_of(each.call.started_ms),
                        account=each.call.account,
                        dialled=each.call.dialled,
                        before=each.before,
                        after=each.after,
                    )
                    for each in group.examples
                ],
            )
            for group in report.groups
        ],
    )
