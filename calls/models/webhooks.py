"""Webhooks: to whom it is told what happens to calls, and what has been told.

The secret by which an endpoint's messages are signed is nowhere in the database: it is made of
SECRET_KEY and the endpoint's salt whenever it is needed, so that no copy of the database tells it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from calls.models.accounts import Account

EVENTS = {
    "call.begun": "a call has begun",
    "call.answered": "a call was answered",
    "call.ended": "a call is over: its call record",
    "trunk.down": "a trunk keeps failing and is skipped",
    "trunk.up": "a trunk that was down is used again",
    "limit.warned": "so many minutes of a limit are used that it warns",
    "fraud.alarm": "an account's calls, countries or minutes jumped",
}
NEEDS = {
    "call.begun": "calls.view_call",
    "call.answered": "calls.view_call",
    "call.ended": "cdr.view_cdr",
    "trunk.down": "calls.view_trunk",
    "trunk.up": "calls.view_trunk",
    "limit.warned": "calls.view_limit",
    "fraud.alarm": "calls.view_alarm",
}
"""What somebody must be permitted to see who says to whom an event is told."""
OF_CALLS = ("call.begun", "call.answered", "call.ended")
"""What an endpoint of one account may be told."""
FORMER_SECRET = timedelta(days=1)
"""How long the secret before the last one signs along."""


def validate_events(text: str) -> None:
    """Raises ValidationError unless these are names of events, parted by spaces."""
    unknown = sorted(set(text.split()) - EVENTS.keys())
    if unknown:
        raise ValidationError(f"{unknown[0]!r} is no event; there are: {', '.join(EVENTS)}.")


def validate_address(text: str) -> None:
    """Raises ValidationError unless it is an URL that may be told something."""
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise ValidationError("This is no address that can be read.") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValidationError("An address begins with https:// and names a host.")
    if parts.scheme == "http" and not settings.WEBHOOK_ALLOW_HTTP:
        raise ValidationError(
            "Over http:// anybody on the way reads along. Use https://, or set "
            "WEBHOOK_ALLOW_HTTP=true."
        )
    if "@" in parts.netloc or parts.fragment:
        raise ValidationError(
            "An address has no user, password or #fragment: messages are known by their signature."
        )
    if any(char.isspace() or not char.isprintable() for char in text):
        raise ValidationError("An address has no spaces; write them %20.")


class WebhookEndpoint(models.Model):
    """A program of somebody else's that is told what happens."""

    name = models.CharField(
        "name", max_length=64, unique=True, help_text="Whose it is, for logs: crm, billing."
    )
    url = models.CharField(
        "address",
        max_length=500,
        validators=[validate_address],
        help_text="https://… Each message is a POST of JSON to it.",
    )
    events = models.CharField(
        "events", max_length=200, validators=[validate_events], help_text="Parted by spaces."
    )
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="account",
        help_text="It is told of this account's calls alone, and nothing of carriers. "
        "Empty: of all calls.",
    )
    enabled = models.BooleanField("enabled", default=True)
    disabled_because = models.CharField(
        "disabled because", max_length=300, blank=True, default="", editable=False
    )
    failing_since = models.DateTimeField("failing since", null=True, blank=True, editable=False)
    last_success_at = models.DateTimeField("last success", null=True, blank=True, editable=False)
    made_at = models.DateTimeField("made", auto_now_add=True)
    salt = models.CharField(max_length=32, editable=False)
    proof = models.CharField(max_length=16, editable=False)
    """Of the secret: it shows that SECRET_KEY is still the one that it was made of."""
    former_salt = models.CharField(max_length=32, blank=True, default="", editable=False)
    former_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "webhook"
        verbose_name_plural = "webhooks"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.account is not None:
            wrong = [name for name in self.events.split() if name not in OF_CALLS]
            if wrong:
                raise ValidationError(
                    {"events": f"The webhook of an account is not told of {', '.join(wrong)}."}
                )

    def wants(self, event: str, account: str, began: datetime | None = None) -> bool:
        """Whether it is told of this event of a call of this account ('' = of no call's).

        A call that ``began`` while another account had the code is that one's.
        """
        if event not in self.events.split():
            return False
        if self.account is None:
            return True
        is_its_own = began is None or self.account.had_its_code(began)
        return self.account.code == account and is_its_own

    def new_secret(self) -> str:
        """Give it a new secret, not saved yet, and return it: it is never shown again.

        The one it had signs along for `FORMER_SECRET`, so that its holder has time to change it.
        """
        if self.salt:
            self.former_salt, self.former_until = self.salt, timezone.now() + FORMER_SECRET
        self.salt = secrets.token_hex(16)
        self.proof = _proof(_secret(self.salt))
        return secret_text(_secret(self.salt))

    def signing_secrets(self) -> list[bytes]:
        """By which its messages are signed now, the newest first.

        Raises ValueError with a sentence where SECRET_KEY has changed since they were made.
        """
        secret = _secret(self.salt)
        if not hmac.compare_digest(_proof(secret), self.proof):
            raise ValueError(
                f"The secret of webhook {self.name} is lost, as SECRET_KEY has changed: give it a "
                "new one in the admin, and tell its receiver."
            )
        if self.former_salt and self.former_until and self.former_until > timezone.now():
            return [secret, _secret(self.former_salt)]
        return [secret]


class WebhookDelivery(models.Model):
    """One message to one endpoint, and what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    endpoint = models.ForeignKey(
        WebhookEndpoint,
        models.CASCADE,
        related_name="deliveries",
        verbose_name="webhook",
        db_index=False,
    )
    message_id = models.CharField("message", max_length=40)
    event = models.CharField("event", max_length=20)
    call_id = models.CharField("call id", max_length=200, blank=True, default="")
    body = models.TextField("message's text")
    state = models.CharField(
        "state", max_length=9, choices=State.choices, default=State.WAITING.value
    )
    attempts = models.PositiveSmallIntegerField("attempts", default=0)
    due_at = models.DateTimeField("next attempt")
    made_at = models.DateTimeField("made")
    settled_at = models.DateTimeField("settled", null=True, blank=True)
    status = models.PositiveSmallIntegerField("HTTP status", null=True, blank=True)
    took_ms = models.PositiveIntegerField("took, ms", null=True, blank=True)
    problem = models.CharField("problem", max_length=300, blank=True, default="")
    answer = models.CharField(
        "answer", max_length=500, blank=True, default="", help_text="How it begins."
    )
    sent_again_by = models.CharField("sent again by", max_length=150, blank=True, default="")

    class Meta:
        verbose_name = "delivery"
        verbose_name_plural = "deliveries"
        default_permissions = ("view",)
        permissions = [("resend_webhookdelivery", "Can send deliveries again")]
        ordering = ["-made_at", "-id"]
        constraints = [
            # Whoever writes a message once more writes nothing.
            models.UniqueConstraint(fields=["endpoint", "message_id"], name="webhook_message_once"),
        ]
        indexes = [
            models.Index(
                fields=["endpoint", "due_at"], name="webhook_due", condition=Q(state="waiting")
            ),
            models.Index(fields=["call_id"], name="webhook_call", condition=~Q(call_id="")),
            models.Index(fields=["made_at", "id"], name="webhook_made"),
        ]

    def __str__(self) -> str:
        return f"delivery of {self.event} to {self.endpoint}"


def enabled_endpoints() -> Iterable[WebhookEndpoint]:
    """Those that are told anything, with their accounts. Raises django.db.Error."""
    return WebhookEndpoint.objects.filter(enabled=True).select_related("account")


def secret_text(secret: bytes) -> str:
    """As its holder gets it, after the Standard Webhooks specification."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def _secret(salt: str) -> bytes:
    return hmac.digest(settings.SECRET_KEY.encode(), f"webhook {salt}".encode(), "sha256")


def _proof(secret: bytes) -> str:
    return hashlib.sha256(b"proof" + secret).hexdigest()[:16]
