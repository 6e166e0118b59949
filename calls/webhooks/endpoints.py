"""What is done with a webhook by hand, alike from the admin and over the API.

Every function that writes raises django.db.Error.
"""

from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from yarl import URL

from calls.models import Change, WebhookDelivery, WebhookEndpoint
from calls.models.changes import note
from calls.models.webhooks import NEEDS
from calls.store.changes import BulkAudit, Written
from calls.store.outbox import Message
from calls.webhooks.addresses import Forbidden, check_host

TEST = "webhook.test"
"""The event of a message that somebody asked for: every webhook takes it, none subscribes to it."""


class Disabled(Exception):
    """A webhook that is told nothing, not even a test; its text is a sentence."""


def check_address(url: str) -> None:
    """Raises ValidationError where the address names a private network. A name is looked at when
    it is resolved, for each attempt; what cannot be read is refused by the model's validator."""
    with suppress(ValueError):
        try:
            check_host(URL(url).raw_host or "", settings.WEBHOOK_ALLOW_PRIVATE)
        except Forbidden as error:
            raise ValidationError(f"{error}.") from None


def not_seen_by(user: AbstractBaseUser | AnonymousUser, events: str) -> str:
    """The first of these events that tells what the user may not see himself; '' for none."""
    may: Callable[[str], bool] = user.has_perm  # type: ignore[union-attr]
    return next((each for each in events.split() if not may(NEEDS[each])), "")


def begin_anew(endpoint: WebhookEndpoint) -> None:
    """Of one that somebody enables again, not saved yet: why it was disabled is over."""
    endpoint.disabled_because, endpoint.failing_since = "", None


def save_new_secret(endpoint: WebhookEndpoint) -> str:
    """Give it a new secret, save it, and return the secret, which is never shown again."""
    with transaction.atomic():
        plain = endpoint.new_secret()
        endpoint.save(update_fields=["salt", "proof", "former_salt", "former_until"])
        note(endpoint, "secret", "the former one", "a new one")
    return plain


def send_test(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Have the sender bring it a test message: signed as every other, tried once.

    Raises Disabled.
    """
    if not endpoint.enabled:
        raise Disabled(f"Webhook {endpoint.name} is disabled, and told nothing: enable it first.")
    now = timezone.now()
    message = Message(TEST, uuid4().hex, now, {"webhook": endpoint.name})
    with transaction.atomic():
        delivery = WebhookDelivery.objects.create(
            endpoint=endpoint,
            message_id=message.message_id,
            event=TEST,
            body=message.body(of_account=False),
            due_at=now,
            made_at=now,
        )
        name = f"{delivery} ({delivery.message_id})"
        BulkAudit(WebhookDelivery, "test message").note(
            [Written(delivery.pk, name, Change.Action.CREATE, {"event": [None, TEST]})]
        )
    return delivery
