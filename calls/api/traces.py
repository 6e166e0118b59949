"""What happened in a call: its story, told from its journal."""

from typing import Any

import redis
from django.http import HttpRequest
from ninja import Router, Schema

from calls.api.auth import Bearer, may, staff_only
from calls.api.problems import Problem, ProblemDocument, redis_away
from calls.errors import CallError
from calls.store.stories import story_document, story_of, why_none

router = Router(tags=["traces"])


class TraceDocument(Schema):
    """A call's story: one sentence, then what was heard, decided and asked for, in order."""

    call_id: str
    live: bool
    sentence: str
    lines: list[Any]
    items: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    session: dict[str, Any] | None = None
    unread: list[str]
    sip: list[Any]


@router.get(
    "/traces/{path:call_id}",
    response={200: TraceDocument, 404: ProblemDocument, 503: ProblemDocument},
    auth=Bearer("traces:read"),
    operation_id="get_trace",
    summary="The story of one call",
)
def get_trace(request: HttpRequest, call_id: str) -> dict[str, Any]:
    """The same as the JSON of the admin's story page; of live calls too. The steps of its decision
    and its limits are for tokens that may also ask where a call would go (``routes:explain``)."""
    token = staff_only(request)
    try:
        story = story_of(call_id)
    except redis.RedisError:
        raise redis_away() from None
    except CallError as error:
        raise Problem(404, "not-found", str(error)) from error
    if story is None:
        raise Problem(404, "not-found", why_none(call_id))
    return story_document(call_id, story, reasons=may(token, "routes:explain"))
