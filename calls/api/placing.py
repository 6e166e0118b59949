"""Calls that a program places: click-to-call, and a test call through one trunk.

On the router of the live calls, whose address it is."""

from typing import Annotated
from urllib.parse import quote
from uuid import uuid4

import redis
from django.http import HttpRequest, HttpResponse
from ninja import Header, Schema, Status
from pydantic import Field

from calls.api.auth import Bearer, may, of, staff_only
from calls.api.live import router
from calls.api.problems import Problem, ProblemDocument, redis_away
from calls.machine.ordered import LONGEST_RING_S
from calls.models import ApiToken
from calls.placing.place import (
    LONGEST_KEY,
    RING_TIMEOUT_S,
    CannotPlace,
    Drained,
    KeyTaken,
    NewCall,
    WouldBeRefused,
    place,
    record,
)


class CallToPlace(Schema):
    """A call to be placed: the phone is called first, and then the number."""

    number: str = Field(..., max_length=64, description="as people of the account dial it")
    phone: str = Field(
        "",
        max_length=80,
        description="the endpoint to be called first, one of the account's phones; without it, in "
        "a test call, nobody is, and whoever answers hears a sound",
    )
    account: str = Field(
        "", max_length=80, description="its code; a token of an account has its own"
    )
    caller: str = Field(
        "", max_length=64, description="the number to show; without it the account's own"
    )
    trunk: str = Field("", max_length=64, description="a test call: the one trunk to go by")
    node: str = Field("", max_length=64, description="without it: the first that takes calls")
    ring_timeout_s: Annotated[int, Field(ge=1, le=LONGEST_RING_S)] = RING_TIMEOUT_S


class PlacedDocument(Schema):
    """A call that is placed. It is live now, and has a record when it is over."""

    call_id: str


@router.post(
    "/calls",
    response={
        202: PlacedDocument,
        403: ProblemDocument,
        409: ProblemDocument,
        422: ProblemDocument,
        503: ProblemDocument,
    },
    auth=Bearer("calls:originate"),
    operation_id="place_call",
    summary="Place a call",
)
def place_call(
    request: HttpRequest,
    response: HttpResponse,
    asked: CallToPlace,
    idempotency_key: Annotated[
        str,
        Header(
            "",
            alias="Idempotency-Key",
            max_length=LONGEST_KEY,
            description="any text of your own for this call: asked again with it, for a day, the "
            "answer is the same and nothing is placed again",
        ),
    ] = "",
) -> Status[PlacedDocument]:
    """The phone is called; when it is answered, the call goes on as if the phone had dialled the
    number, with the account's routes, limits and record. Its record names the token."""
    token = of(request)
    new = _wanted(request, token, asked)
    try:
        placed = place(
            new, by=token.who, orderer=f"token:{token.key}", key=idempotency_key or uuid4().hex
        )
    except CannotPlace as error:
        why = str(error)
        if isinstance(error, WouldBeRefused) and not may(token, "routes:explain"):
            why = error.in_short
        wrong = [(error.field, why)] if error.field else []
        raise Problem(422, "cannot-place", f"Nobody was called. {why}", wrong) from None
    except KeyTaken as error:
        raise Problem(422, "key-taken", f"Nobody was called. {error}") from None
    except Drained as error:
        raise Problem(503, "drained", str(error), headers={"Retry-After": "60"}) from None
    except redis.RedisError:
        raise redis_away() from None
    call = placed.call
    if placed.now and token.user is not None:
        record(token.user, new, call, token.who)
    response["Location"] = f"{request.path}/{quote(call, safe=':')}"
    return Status(202, PlacedDocument(call_id=call))


def _wanted(request: HttpRequest, token: ApiToken, asked: CallToPlace) -> NewCall:
    """What is asked for, as far as the token may ask for it. Raises Problem."""
    account = asked.account
    if token.account is not None:
        if account not in ("", token.account.code):
            detail = f"Token {token.name} places calls of account {token.account.code} only."
            raise Problem(403, "other-account", detail)
        account = token.account.code
    elif not account:
        detail = "Nobody was called. account: say whose call it is."
        raise Problem(422, "cannot-place", detail, [("account", "Say whose call it is.")])
    if asked.trunk or asked.node:
        # Which carriers and nodes there are is not an account's business.
        staff_only(request, "calls.view_trunk")
    return NewCall(
        account=account,
        phone=asked.phone,
        number=asked.number,
        caller=asked.caller,
        trunk=asked.trunk,
        node=asked.node,
        ring_timeout_s=asked.ring_timeout_s,
    )
