"""Tokens by which programs use the HTTP API.

A token is shown once, when it is made: ``rm_<key>_<secret>``. Kept of it are the key, by which its
row is found, and the SHA-256 of the secret; that is 256 random bits, so nobody can try them out and
no slow hash is needed. It is of an account, and then sees and does what is that account's alone; or
of a user, and then may do what the token's scopes and that user's permissions both allow.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from calls.models.accounts import Account

PREFIX = "rm"
USED_EVERY = timedelta(minutes=1)
"""How exactly the last use of a token is noted: each note is a write."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token may be for. ``needs``: permissions without which its user cannot use it."""

    words: str
    needs: tuple[str, ...]
    accounts: bool = False
    """Whether a token of an account may have it."""
    asks: tuple[str, ...] = ()
    """What its addresses ask of a user besides: a token of an account has none to be asked of, so
    whoever makes one must be permitted it."""

    def needs_of_maker(self, of_account: bool) -> tuple[str, ...]:
        """Permissions without which somebody may not give it to a token."""
        return self.needs + self.asks if of_account else self.needs


SCOPES = {
    "calls:read": Scope("see live calls", ("calls.view_call",), accounts=True),
    "calls:hangup": Scope(
        "hang live calls up", ("calls.view_call", "calls.hangup_call"), accounts=True
    ),
    "calls:originate": Scope("place calls", ("calls.originate_call",), accounts=True),
    "cdrs:read": Scope("read call records", ("cdr.view_cdr",), accounts=True),
    "traces:read": Scope("read what happened in calls", ("cdr.view_cdr",)),
    "config:read": Scope(
        "read accounts, trunks, routes, limits, webhooks, drains",
        (),
        accounts=True,
        asks=("calls.view_account", "calls.view_limit"),
    ),
    "config:write": Scope("change accounts, trunks, routes, limits", ()),
    "webhooks:write": Scope(
        "make, change and test webhooks, which carry call records out",
        ("calls.view_webhookendpoint",),
    ),
    "drains:write": Scope("begin and end drains", ("calls.view_drain",)),
    "routes:explain": Scope(
        "ask where a call would go",
        tuple(
            f"calls.view_{model}"
            for model in ("account", "block", "limit", "route", "routetarget", "trunk")
        ),
    ),
}
"""Where a scope needs no permission by itself, each address asks for that of its model."""


def validate_scopes(text: str) -> None:
    """Raises ValidationError unless these are names of scopes, parted by spaces."""
    unknown = sorted(set(text.split()) - SCOPES.keys())
    if unknown:
        raise ValidationError(f"{unknown[0]!r} is no scope; there are: {', '.join(SCOPES)}.")


class ApiToken(models.Model):
    """One token. Its secret is nowhere but with its holder."""

    name = models.CharField(
        "name",
        max_length=64,
        unique=True,
        help_text="Whose it is, for changes and call records: crm, wallboard.",
    )
    key = models.CharField("key", max_length=16, unique=True, editable=False)
    digest = models.CharField("digest", max_length=64, editable=False)
    scopes = models.CharField(
        "may", max_length=200, validators=[validate_scopes], help_text="Parted by spaces."
    )
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="account",
        help_text="Of a token of an account: it sees and does what is that account's alone.",
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="user",
        help_text="Of a token for staff: it may do no more than this user may.",
    )
    enabled = models.BooleanField("enabled", default=True)
    expires_at = models.DateTimeField(
        "expires", null=True, blank=True, help_text="Empty: never. Better: in a year."
    )
    made_at = models.DateTimeField("made", auto_now_add=True)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    last_used_from = models.GenericIPAddressField(
        "last used from", null=True, blank=True, editable=False
    )

    class Meta:
        verbose_name = "API token"
        verbose_name_plural = "API tokens"
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(account__isnull=False, user=None) | Q(account=None, user__isnull=False),
                name="token_of_one",
                violation_error_message="A token is either an account's or a user's.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.account is not None:
            wrong = [name for name in self.scopes.split() if not SCOPES[name].accounts]
            if wrong:
                raise ValidationError(
                    {"scopes": f"A token of an account cannot have {', '.join(wrong)}."}
                )

    @property
    def who(self) -> str:
        """As it stands in changes and call records."""
        return f"token {self.name}"

    def new_secret(self) -> str:
        """Give it a new secret, not saved yet, and return the whole token: it is never seen again.

        Whoever has the old one is out as soon as it is saved.
        """
        self.key = self.key or secrets.token_hex(6)
        secret = secrets.token_urlsafe(32)
        self.digest = _digest(secret)
        return f"{PREFIX}_{self.key}_{secret}"

    def allows(self, scope: str) -> bool:
        """Whether it was given this scope."""
        return scope in self.scopes.split()

    @property
    def is_valid(self) -> bool:
        """Whether it may be used at all now."""
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        holder = self.account.enabled if self.account else _is_staff(self.user)
        return self.enabled and not expired and holder

    def note_use(self, address: str) -> None:
        """Note when and from where it was used, to the minute."""
        now = timezone.now()
        if self.last_used_at is None or self.last_used_at < now - USED_EVERY:
            # By an update: a use is no change for the audit log.
            ApiToken.objects.filter(pk=self.pk).update(
                last_used_at=now, last_used_from=address or None
            )


def token_of(text: str) -> ApiToken | None:
    """The token that this is, whether or not it may be used; None where it is none."""
    prefix, _, rest = text.partition("_")
    key, _, secret = rest.partition("_")
    if prefix != PREFIX or not key or not secret or len(text) > 100:
        return None
    token = ApiToken.objects.select_related("account", "user").filter(key=key).first()
    if token is None or not hmac.compare_digest(token.digest, _digest(secret)):
        return None
    return token


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_staff(user: object) -> bool:
    return bool(getattr(user, "is_active", False) and getattr(user, "is_staff", False))
