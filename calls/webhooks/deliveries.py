"""The deliveries in the database: taken up, settled, tried again later, and dropped when old.

A delivery that is taken up is due again after `LEASE_S`: where its sender dies, another one, or the
same started again, sends it once more. Every function raises django.db.Error.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from calls.models import Change, WebhookDelivery, WebhookEndpoint
from calls.store.changes import BulkAudit, Written
from calls.webhooks.endpoints import TEST
from calls.webhooks.request import GONE, TIMEOUT_S, Outcome

LEASE_S = TIMEOUT_S + 10
"""Longer than an attempt and the noting of its outcome take."""
JITTER = 0.2
"""By how much of it a pause is shorter or longer: what failed together must not come together."""
GIVE_UP = timedelta(days=2)
"""An endpoint that has taken nothing for so long is disabled."""
SUCCESS_EVERY = timedelta(seconds=10)
"""How exactly the last success is noted: each note is a write."""
BATCH = 1_000
State = WebhookDelivery.State


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt that was made, and what came of it."""

    delivery: WebhookDelivery
    outcome: Outcome


def due_endpoints(now: datetime) -> list[WebhookEndpoint]:
    """The enabled endpoints to which something is due: one question, however many there are."""
    due = WebhookDelivery.objects.filter(
        endpoint=OuterRef("pk"), state=State.WAITING, due_at__lte=now
    )
    return list(WebhookEndpoint.objects.filter(Exists(due), enabled=True))


def take_up(endpoint: WebhookEndpoint, most: int, now: datetime) -> list[WebhookDelivery]:
    """The oldest deliveries of this endpoint that are due, which nobody else takes up meanwhile."""
    due = WebhookDelivery.objects.filter(endpoint=endpoint, state=State.WAITING, due_at__lte=now)
    with transaction.atomic():
        # SQLite lets one transaction write at a time, and knows no locks of rows.
        rows = list(due.order_by("due_at").select_for_update(skip_locked=True)[:most])
        if rows:
            WebhookDelivery.objects.filter(pk__in=[row.pk for row in rows]).update(
                due_at=now + timedelta(seconds=LEASE_S)
            )
    for row in rows:
        row.endpoint = endpoint
    return rows


def settle(settled: Sequence[Settled], pauses_s: Sequence[int]) -> list[str]:
    """Note what came of attempts; gives a sentence for each endpoint that is disabled by it."""
    now = timezone.now()
    with transaction.atomic():
        for each in settled:
            _note(each, pauses_s, now)
        sentences = [
            sentence
            for endpoint in {each.delivery.endpoint_id for each in settled}
            if (sentence := _judge(endpoint, settled, now))
        ]
    return sentences


def _note(settled: Settled, pauses_s: Sequence[int], now: datetime) -> None:
    delivery, outcome = settled.delivery, settled.outcome
    attempts = delivery.attempts + 1
    state, due_at = State.WAITING, delivery.due_at
    if outcome.ok:
        state = State.DELIVERED
    elif attempts > len(pauses_s) or delivery.event == TEST:
        state = State.FAILED
    else:
        due_at = now + timedelta(seconds=pause_s(attempts, pauses_s, outcome.retry_after_s))
    WebhookDelivery.objects.filter(pk=delivery.pk).exclude(state=State.DELIVERED).update(
        attempts=attempts,
        state=state,
        due_at=due_at,
        settled_at=None if state is State.WAITING else now,
        status=outcome.status,
        took_ms=outcome.took_ms,
        problem=outcome.problem[:300],
        answer=outcome.answer,
    )


def pause_s(attempts: int, pauses_s: Sequence[int], retry_after_s: int = 0) -> float:
    """Seconds until the next attempt after so many; as long as the receiver asks for at least."""
    jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return max(pauses_s[attempts - 1] * jitter, retry_after_s)


def _judge(endpoint: int, settled: Sequence[Settled], now: datetime) -> str:
    """Note how the endpoint does; gives a sentence where it is disabled, else ''."""
    ours = [each.outcome for each in settled if each.delivery.endpoint_id == endpoint]
    row = WebhookEndpoint.objects.filter(pk=endpoint)
    if any(outcome.status == GONE for outcome in ours):
        return _disable(endpoint, "It answered 410: what was there is gone for good.")
    if any(outcome.ok for outcome in ours):
        known = Q(failing_since=None, last_success_at__gte=now - SUCCESS_EVERY)
        row.exclude(known).update(failing_since=None, last_success_at=now)
        return ""
    row.filter(failing_since=None).update(failing_since=now)
    if row.filter(failing_since__lte=now - GIVE_UP).exists():
        return _disable(endpoint, f"It took nothing for two days. {ours[-1].problem}.")
    return ""


def _disable(endpoint: int, why: str) -> str:
    found = WebhookEndpoint.objects.select_for_update().filter(pk=endpoint, enabled=True).first()
    if found is None:
        return ""
    found.enabled, found.disabled_because = False, why[:300]
    # By save, so that it stands among the changes.
    found.save(update_fields=["enabled", "disabled_because"])
    return (
        f"Webhook {found.name} is disabled: {why} What waits for it is kept; enable it in the "
        "admin once its receiver works."
    )


def send_again(deliveries: QuerySet[WebhookDelivery], who: str) -> int:
    """Begin with these deliveries once more, whatever has become of them; gives how many."""
    audit = BulkAudit(WebhookDelivery, "sent again")
    with transaction.atomic():
        rows = list(deliveries.select_related("endpoint").select_for_update(of=("self",)))
        audit.note(
            Written(
                row.pk,
                f"{row} ({row.message_id})",
                Change.Action.UPDATE,
                {"state": [row.state, State.WAITING.value]},
            )
            for row in rows
        )
        for start in range(0, len(rows), BATCH):
            WebhookDelivery.objects.filter(
                pk__in=[row.pk for row in rows[start : start + BATCH]]
            ).update(
                state=State.WAITING,
                attempts=0,
                due_at=timezone.now(),
                settled_at=None,
                sent_again_by=who[:150],
            )
    return len(rows)


def drop_old(days: int, now: datetime) -> int:
    """Delete a batch of deliveries older than so many days; gives how many these were."""
    old = WebhookDelivery.objects.filter(made_at__lt=now - timedelta(days=days))
    keys = list(old.order_by("made_at", "id").values_list("pk", flat=True)[:BATCH])
    if keys:
        WebhookDelivery.objects.filter(pk__in=keys).delete()
    return len(keys)
