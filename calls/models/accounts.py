"""Who may call, and what."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from calls.models.counted import Counted
from calls.routing import endpoints
from calls.routing.numbers import OWN
from calls.validators import (
    validate_account_code,
    validate_allowed_prefixes,
    validate_caller_number,
    validate_country_code,
    validate_dialled_prefix,
    validate_number_list,
    validate_phones,
    validate_short_codes,
    validate_time_zone,
)
from cdr.models import Cdr


def default_short_codes() -> str:
    return settings.SHORT_CODES


def default_allowed_prefixes() -> str:
    return settings.NEW_ACCOUNT_PREFIXES


class Account(Counted):
    """Who pays for a call; a caller that belongs to no enabled account is refused."""

    NAMED_BY = "code"

    code = models.CharField(
        "code",
        max_length=80,
        unique=True,
        validators=[validate_account_code],
        help_text="The channel's accountcode in Asterisk; where it has none, its endpoint's name.",
    )
    name = models.CharField("name", max_length=128)
    enabled = models.BooleanField(
        "enabled", default=True, help_text="Calls of a disabled account are refused."
    )
    max_call_s = models.PositiveIntegerField(
        "longest call, seconds",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(86_400)],
        help_text="A call is ended after this time. Empty: MAX_CALL_S of the settings.",
    )
    time_zone = models.CharField(
        "time zone",
        max_length=64,
        blank=True,
        default="UTC",
        validators=[validate_time_zone],
        help_text="In which schedules are read, such as Europe/Paris. Empty: UTC.",
    )
    country_code = models.CharField(
        "country code",
        max_length=4,
        blank=True,
        default="",
        validators=[validate_country_code],
        help_text="Of the country whose numbers may be dialled nationally, such as 33. "
        "Empty: every number is dialled with its country code.",
    )
    international_prefix = models.CharField(
        "international prefix",
        max_length=8,
        blank=True,
        default="00",
        validators=[validate_dialled_prefix],
        help_text="Dialled before a country code, such as 00 or 011; + always serves too.",
    )
    national_prefix = models.CharField(
        "national prefix",
        max_length=8,
        blank=True,
        default="",
        validators=[validate_dialled_prefix],
        help_text="Dialled before a national number, such as 0. Empty, with a country code: "
        "every number without + or the international prefix is a national one.",
    )
    caller_id = models.CharField(
        "caller's number",
        max_length=24,
        blank=True,
        default="",
        validators=[validate_caller_number],
        help_text="Shown by trunks that show the account's number as the caller's, and in place of "
        "a caller's number that is not allowed.",
    )
    short_codes = models.CharField(
        "short numbers",
        max_length=300,
        blank=True,
        default=default_short_codes,
        validators=[validate_short_codes],
        help_text="What may be dialled besides telephone numbers, parted by spaces: 112 116xxx "
        "*98. x is any digit. Emergency numbers belong here.",
    )
    allowed_prefixes = models.CharField(
        "may call",
        max_length=500,
        blank=True,
        default=default_allowed_prefixes,
        validators=[validate_allowed_prefixes],
        help_text="First digits of the numbers that may be called, country code first, parted by "
        "spaces: own 33 4420. own is the country code. Empty: every number. Short numbers always "
        "may.",
    )
    allowed_callers = models.CharField(
        "callers' numbers",
        max_length=1000,
        blank=True,
        default="",
        validators=[validate_number_list],
        help_text="First digits of the numbers that its callers may show, country code first, "
        "parted by spaces: 493012345 4989. Any other is replaced by the caller's number above, "
        "and the call record says so. Empty: every number.",
    )
    refuse_unchecked = models.BooleanField(
        "refuse what cannot be checked",
        default=False,
        help_text="Whether a call is refused when the database is away and nobody can tell whether "
        "its caller is on the blocklist.",
    )

    phones = models.CharField(
        "phones",
        max_length=300,
        blank=True,
        default="",
        db_default="",
        validators=[validate_phones],
        help_text="Endpoints that the API may ring as the caller's when it places a call for this "
        "account, parted by spaces: alice bob. Empty: the one that is called like the code.",
    )

    code_since = models.DateTimeField(
        "records since",
        null=True,
        blank=True,
        editable=False,
        help_text="Call records under this code from before are another account's.",
    )

    class Meta:
        verbose_name = "account"
        verbose_name_plural = "accounts"
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        if fields is None or "code" in fields:
            self._note_since()
            if fields is not None:
                kwargs["update_fields"] = {*fields, "code_since"}
        super().save(*args, **kwargs)

    def _note_since(self) -> None:
        """Note when it got its code, where records under that code are of somebody who had it
        before: call records hold codes, and whoever has the code reads them by the API."""
        rows = Account.objects.filter(pk=self.pk)
        if self.code == rows.values_list("code", flat=True).first():
            return
        had_before = Cdr.objects.filter(account=self.code).exists()
        self.code_since = timezone.now() if had_before else None

    def had_its_code(self, at: datetime) -> bool:
        """Whether what was noted under its code then is its own, and no former holder's."""
        return self.code_since is None or at >= self.code_since

    @property
    def phone_names(self) -> tuple[str, ...]:
        """The endpoints that may be rung as its callers'."""
        return endpoints.phones_of(self.phones, self.code)

    def clean(self) -> None:
        self.time_zone = self.time_zone or "UTC"
        if OWN in self.allowed_prefixes.split() and not self.country_code:
            raise ValidationError(
                {
                    "country_code": "The account may call its own country; say which that is, or "
                    f"name prefixes instead of {OWN} where it says what the account may call."
                }
            )
        if self.national_prefix and not self.country_code:
            raise ValidationError(
                {
                    "national_prefix": "A national prefix says nothing without the country code "
                    "that a number gets in its place."
                }
            )
