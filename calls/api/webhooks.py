"""Webhooks and what became of their messages. Read only: a secret is shown in the admin alone."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from calls.api.auth import Bearer, staff_only
from calls.api.cursors import cursor_of, key_of
from calls.api.problems import ProblemDocument
from calls.models import WebhookDelivery, WebhookEndpoint

router = Router(tags=["webhooks"])


class WebhookDocument(Schema):
    """A webhook. ``disabled_because``: a sentence where it was disabled for its failures."""

    name: str
    url: str
    events: list[str]
    account: str | None = None
    enabled: bool
    disabled_because: str
    failing_since: datetime | None = None
    last_success_at: datetime | None = None


class WebhookList(Schema):
    """Every webhook, by name."""

    rows: list[WebhookDocument]


class DeliveryDocument(Schema):
    """A message to a webhook. ``status``: that of the last attempt; ``problem``: what was wrong
    with it."""

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
    """Made and changed in the admin."""
    staff_only(request, "calls.view_webhookendpoint")
    rows = WebhookEndpoint.objects.select_related("account").order_by("name")
    return {"rows": [_webhook(row) for row in rows]}


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
    rows = rows.filter(**{name: value for name, value in named.items() if value})
    if asked.cursor:
        rows = rows.filter(pk__lt=key_of(asked.cursor, (int,))[0])
    found = list(rows[: asked.limit + 1])
    shown = found[: asked.limit]
    more = cursor_of(shown[-1].pk) if len(found) > len(shown) else None
    return {"rows": [_delivery(row) for row in shown], "next": more}


def _webhook(row: WebhookEndpoint) -> WebhookDocument:
    return WebhookDocument(
        name=row.name,
        url=row.url,
        events=row.events.split(),
        account=row.account.code if row.account else None,
        enabled=row.enabled,
        disabled_because=row.disabled_because,
        failing_since=row.failing_since,
        last_success_at=row.last_success_at,
    )


def _delivery(row: WebhookDelivery) -> DeliveryDocument:
    waits = row.state == WebhookDelivery.State.WAITING
    return DeliveryDocument(
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
