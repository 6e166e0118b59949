"""Webhooks, made, changed, tested and deleted, and what became of their messages.

By the admin's rules and permissions, noted in the same audit log. A secret is in the answer that
makes it, and in no other.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from calls.api.auth import Bearer, of, staff_only
from calls.api.cursors import cursor_of, key_of
from calls.api.kinds import referred, wrong
from calls.api.problems import Problem, ProblemDocument, not_found
from calls.models import Account, ApiToken, WebhookDelivery, WebhookEndpoint
from calls.models.webhooks import EVENTS
from calls.webhooks.deliveries import send_again
from calls.webhooks.endpoints import (
    Disabled,
    begin_anew,
    check_address,
    not_seen_by,
    save_new_secret,
    send_test,
)

router = Router(tags=["webhooks"])


class WebhookDocument(Schema):
    """A webhook. ``disabled_because``: a sentence where it was disabled for its failures."""

    id: int
    name: str
    url: str
    events: list[str]
    account: str | None = None
    enabled: bool
    disabled_because: str
    failing_since: datetime | None = None
    last_success_at: datetime | None = None


class WebhookWithSecret(WebhookDocument):
    """A webhook and its secret, which is shown this one time."""

    secret: str


class WebhookChange(Schema):
    """A new webhook, or what is to change of one: what is not named stays as it is. Without
    ``account``, or with null, it is told of all calls."""

    name: str | None = None
    url: str | None = Field(None, description="https://…")
    events: list[str] | None = Field(None, description=", ".join(EVENTS))
    account: str | None = Field(None, description="an account's code")
    enabled: bool | None = None


class WebhookList(Schema):
    """Every webhook, by name."""

    rows: list[WebhookDocument]


class DeliveryDocument(Schema):
    """A message to a webhook. ``status``: that of the last attempt; ``problem``: what was wrong
    with it."""

    id: int
    message_id: str
    webhook: str
    event: str
    call_id: str
    state: str
    attempts: int
    status: int | None = None
    problem: str
    made_at: datetime
    next_attempt_at: datetime | None = None
    settled_at: datetime | None = None


class DeliveryPage(Schema):
    """Some deliveries, the newest first. ``next``: the cursor of the older ones, if any."""

    rows: list[DeliveryDocument]
    next: str | None = None


class DeliveryFilter(Schema):
    """Which deliveries."""

    webhook: str = ""
    state: Literal["", "waiting", "delivered", "failed"] = ""
    call_id: str = ""
    message_id: str = ""
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: str = ""


@router.get(
    "/webhooks",
    response={200: WebhookList},
    auth=Bearer("config:read"),
    operation_id="list_webhooks",
    summary="Webhooks",
)
def list_webhooks(request: HttpRequest) -> dict[str, Any]:
    staff_only(request, "calls.view_webhookendpoint")
    rows = WebhookEndpoint.objects.select_related("account").order_by("name")
    return {"rows": [WebhookDocument(**_told(row)) for row in rows]}


@router.post(
    "/webhooks",
    response={201: WebhookWithSecret, 422: ProblemDocument},
    auth=Bearer("webhooks:write"),
    operation_id="create_webhook",
    summary="A new webhook",
)
def create_webhook(
    request: HttpRequest, told: WebhookChange, response: HttpResponse
) -> Status[WebhookWithSecret]:
    """Its secret is in this answer alone."""
    staff_only(request, "calls.add_webhookendpoint")
    row = WebhookEndpoint()
    plain = row.new_secret()
    _write(row, told.dict(exclude_unset=True), of(request))
    response["Cache-Control"] = "no-store"
    return Status(201, WebhookWithSecret(**_told(_one(row.pk)), secret=plain))


@router.get(
    "/webhooks/{int:key}",
    response={200: WebhookDocument, 404: ProblemDocument},
    auth=Bearer("config:read"),
    operation_id="get_webhook",
    summary="One webhook",
)
def get_webhook(request: HttpRequest, key: int) -> WebhookDocument:
    staff_only(request, "calls.view_webhookendpoint")
    return WebhookDocument(**_told(_one(key)))


@router.patch(
    "/webhooks/{int:key}",
    response={200: WebhookDocument, 404: ProblemDocument, 422: ProblemDocument},
    auth=Bearer("webhooks:write"),
    operation_id="change_webhook",
    summary="Change one webhook",
)
def change_webhook(request: HttpRequest, key: int, told: WebhookChange) -> WebhookDocument:
    """One that was disabled for its failures begins anew when it is enabled."""
    staff_only(request, "calls.change_webhookendpoint")
    with transaction.atomic():
        _write(_one(key, to_change=True), told.dict(exclude_unset=True), of(request))
    return WebhookDocument(**_told(_one(key)))


@router.delete(
    "/webhooks/{int:key}",
    response={204: None, 404: ProblemDocument},
    auth=Bearer("webhooks:write"),
    operation_id="delete_webhook",
    summary="Delete one webhook",
)
def delete_webhook(request: HttpRequest, key: int) -> Status[None]:
    """And what stands of its messages; those that wait are not brought any more."""
    staff_only(request, "calls.delete_webhookendpoint")
    _one(key).delete()
    return Status(204, None)


@router.post(
    "/webhooks/{int:key}/secret",
    response={200: WebhookWithSecret, 404: ProblemDocument},
    auth=Bearer("webhooks:write"),
    operation_id="renew_webhook_secret",
    summary="Give one webhook a new secret",
)
def renew_secret(request: HttpRequest, key: int, response: HttpResponse) -> WebhookWithSecret:
    """It is in this answer alone; the one before signs along for a day."""
    staff_only(request, "calls.change_webhookendpoint")
    row = _one(key)
    plain = save_new_secret(row)
    response["Cache-Control"] = "no-store"
    return WebhookWithSecret(**_told(row), secret=plain)


@router.post(
    "/webhooks/{int:key}/test",
    response={202: DeliveryDocument, 404: ProblemDocument, 409: ProblemDocument},
    auth=Bearer("webhooks:write"),
    operation_id="test_webhook",
    summary="Send one webhook a test message",
)
def test_webhook(request: HttpRequest, key: int) -> Status[DeliveryDocument]:
    """``webhook.test``, signed as every message and tried once; what became of it is told by its
    ``message_id`` among the deliveries."""
    staff_only(request, "calls.change_webhookendpoint")
    try:
        return Status(202, _delivery(send_test(_one(key))))
    except Disabled as error:
        raise Problem(409, "disabled", str(error)) from error


@router.get(
    "/webhooks/deliveries",
    response={200: DeliveryPage, 422: ProblemDocument},
    auth=Bearer("config:read"),
    operation_id="list_webhook_deliveries",
    summary="What became of messages to webhooks",
)
def list_deliveries(request: HttpRequest, asked: Query[DeliveryFilter]) -> dict[str, Any]:
    """Of the last WEBHOOK_DAYS days."""
    staff_only(request, "calls.view_webhookdelivery")
    rows = WebhookDelivery.objects.select_related("endpoint").order_by("-id")
    named = {"endpoint__name": asked.webhook, "state": asked.state, "call_id": asked.call_id}
    named["message_id"] = asked.message_id
    rows = rows.filter(**{name: value for name, value in named.items() if value})
    if asked.cursor:
        rows = rows.filter(pk__lt=key_of(asked.cursor, (int,))[0])
    found = list(rows[: asked.limit + 1])
    shown = found[: asked.limit]
    more = cursor_of(shown[-1].pk) if len(found) > len(shown) else None
    return {"rows": [_delivery(row) for row in shown], "next": more}


@router.post(
    "/webhooks/deliveries/{int:key}/again",
    response={202: DeliveryDocument, 404: ProblemDocument},
    auth=Bearer("webhooks:write"),
    operation_id="send_delivery_again",
    summary="Send a message to a webhook again",
)
def send_delivery_again(request: HttpRequest, key: int) -> Status[DeliveryDocument]:
    """With the same id as before, whatever has become of it."""
    staff_only(request, "calls.view_webhookdelivery", "calls.resend_webhookdelivery")
    if not send_again(WebhookDelivery.objects.filter(pk=key), of(request).who):
        raise not_found(f"delivery {key}")
    row = WebhookDelivery.objects.select_related("endpoint").get(pk=key)
    return Status(202, _delivery(row))


def _one(key: int, to_change: bool = False) -> WebhookEndpoint:
    rows = WebhookEndpoint.objects.select_related("account")
    if to_change:
        # The sender may be about to disable it.
        rows = rows.select_for_update(of=("self",))
    row = rows.filter(pk=key).first()
    if row is None:
        raise not_found(f"webhook {key}")
    return row


def _write(row: WebhookEndpoint, told: dict[str, Any], token: ApiToken) -> None:
    """Save the webhook with these fields, by the rules of the admin. Raises Problem."""
    for field, value in told.items():
        if value is None and field != "account":
            raise wrong({field: ["This cannot be null."]})
    if "account" in told:
        told["account"] = referred(Account, "code", "account", told["account"])
    if "events" in told:
        told["events"] = " ".join(dict.fromkeys(told["events"]))
    if told.get("enabled") and not row.enabled:
        begin_anew(row)
    for field, value in told.items():
        setattr(row, field, value)
    try:
        row.full_clean()
        _check_address(row.url)
    except ValidationError as error:
        raise wrong(error.message_dict) from error
    assert token.user is not None  # noqa: S101 - these addresses are for tokens of staff
    if unseen := not_seen_by(token.user, row.events):
        detail = f"The user of token {token.name} may not see what {unseen} tells."
        raise Problem(403, "no-permission", detail)
    row.save()


def _check_address(url: str) -> None:
    try:
        check_address(url)
    except ValidationError as error:
        raise ValidationError({"url": error.messages}) from error


def _told(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "url": row.url,
        "events": row.events.split(),
        "account": row.account.code if row.account else None,
        "enabled": row.enabled,
        "disabled_because": row.disabled_because,
        "failing_since": row.failing_since,
        "last_success_at": row.last_success_at,
    }


def _delivery(row: WebhookDelivery) -> DeliveryDocument:
    waits = row.state == WebhookDelivery.State.WAITING
    return DeliveryDocument(
        id=row.pk,
        message_id=row.message_id,
        webhook=row.endpoint.name,
        event=row.event,
        call_id=row.call_id,
        state=row.state,
        attempts=row.attempts,
        status=row.status,
        problem=row.problem,
        made_at=row.made_at,
        next_attempt_at=row.due_at if waits else None,
        settled_at=row.settled_at,
    )
