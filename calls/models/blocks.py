"""Numbers that nobody reaches, and callers who reach nobody."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from calls.models.accounts import Account
from calls.routing.rows import Side
from calls.validators import (
    validate_blocked_prefix,
)


class Block(models.Model):
    """A blocklist entry: calls to, or from, numbers with a prefix are refused."""

    side = models.CharField(
        "blocks calls",
        max_length=6,
        choices=[
            (Side.CALLEE.value, "to these numbers"),
            (Side.CALLER.value, "from these numbers"),
            (Side.NO_CALLER.value, "from callers without a number, or with one that is none"),
        ],
        default=Side.CALLEE.value,
    )
    prefix = models.CharField(
        "prefix",
        max_length=15,
        blank=True,
        validators=[validate_blocked_prefix],
        help_text="The numbers' first digits, country code first; a whole number blocks it "
        "and what begins with it. Empty for callers without a number.",
    )
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="blocks",
        verbose_name="account",
        help_text="Empty: for all accounts.",
    )
    enabled = models.BooleanField("enabled", default=True)
    note = models.CharField(
        "note", max_length=200, blank=True, default="", help_text="Stands in the call records."
    )

    class Meta:
        verbose_name = "blocklist entry"
        verbose_name_plural = "blocklist entries"
        ordering = ["side", "prefix", "account_id"]
        constraints = [
            # As those of routes: they also serve the search for a number's prefixes.
            models.UniqueConstraint(
                fields=["side", "prefix", "account"],
                name="block_once_per_account",
                violation_error_message="This account already has an entry for this prefix.",
            ),
            models.UniqueConstraint(
                fields=["side", "prefix"],
                condition=Q(account__isnull=True),
                name="block_once_for_all",
                violation_error_message="There already is an entry for this prefix "
                "and all accounts.",
            ),
        ]

    def __str__(self) -> str:
        whose = f" for {self.account.code}" if self.account else ""
        return f"{self.side} {self.prefix}{whose}"

    def clean(self) -> None:
        if (self.side == Side.NO_CALLER) != (not self.prefix):
            raise ValidationError(
                {
                    "prefix": "Callers without a number have no prefix: leave it empty."
                    if self.prefix
                    else "A blocked prefix is made of 1 to 15 digits."
                }
            )
