"""The ways out."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from calls.limits.rules import Health, LimitRow, Metric, Scope
from calls.models.counted import Counted
from calls.routing import rewrites
from calls.routing.rows import CallerIdPolicy
from calls.validators import (
    validate_added_prefix,
    validate_caller_number,
    validate_country_code,
    validate_dial_string,
    validate_dialled_prefix,
    validate_rewrite,
)


class Trunk(Counted):
    """A way out: what Asterisk dials, and in which form numbers go there."""

    NAMED_BY = "name"

    name = models.CharField("name", max_length=64, unique=True)
    dial_string = models.CharField(
        "dial string",
        max_length=200,
        validators=[validate_dial_string],
        help_text="What Asterisk dials, {number} standing for the number: "
        "PJSIP/{number}@carrier-a. DIAL_TECHNOLOGIES and LOCAL_CONTEXTS say what else it may be.",
    )
    enabled = models.BooleanField("enabled", default=True, help_text="A disabled trunk is skipped.")
    ring_timeout_s = models.PositiveIntegerField(
        "ring timeout, seconds",
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(600)],
        help_text="An attempt that is not answered in this time is given up.",
    )
    strip_digits = models.PositiveSmallIntegerField(
        "digits to strip",
        default=0,
        validators=[MaxValueValidator(15)],
        help_text="So many digits are taken off the number's front before it is sent.",
    )
    add_prefix = models.CharField(
        "prefix to add",
        max_length=16,
        blank=True,
        default="",
        validators=[validate_added_prefix],
        help_text="Put in front of the number after stripping, such as + or 00.",
    )
    rewrite_match = models.CharField(
        "rewrite: expression",
        max_length=rewrites.MAX_PATTERN,
        blank=True,
        default="",
        validators=[validate_rewrite],
        help_text="A regular expression (RE2) on the number after strip and prefix; the first "
        "match is replaced: ^0049(.*)",
    )
    rewrite_replace = models.CharField(
        "rewrite: replacement",
        max_length=64,
        blank=True,
        default="",
        help_text="What stands in place of the match; \\1 is what the first group matched: 0\\1",
    )
    tech_prefix = models.CharField(
        "technical prefix",
        max_length=16,
        blank=True,
        default="",
        validators=[validate_added_prefix],
        help_text="What this carrier wants in front of every number and takes off before it reads "
        "it, such as 7799#.",
    )
    country_code = models.CharField(
        "reads numbers as dialled in country",
        max_length=4,
        blank=True,
        default="",
        validators=[validate_country_code],
        help_text="So that the blocklist holds for what is sent. Empty: as the calling account's "
        "people dial; this field and the two beside it matter only for national numbers.",
    )
    international_prefix = models.CharField(
        "its international prefix",
        max_length=8,
        blank=True,
        default="",
        validators=[validate_dialled_prefix],
    )
    national_prefix = models.CharField(
        "its national prefix",
        max_length=8,
        blank=True,
        default="",
        validators=[validate_dialled_prefix],
    )
    caller_id_policy = models.CharField(
        "caller's number is",
        max_length=9,
        choices=[
            (CallerIdPolicy.PASS.value, "the caller's own"),
            (CallerIdPolicy.FIXED.value, "the number below"),
            (CallerIdPolicy.ACCOUNT.value, "the account's, else the number below"),
            (CallerIdPolicy.ANONYMOUS.value, "not shown"),
        ],
        default=CallerIdPolicy.PASS.value,
    )
    caller_id = models.CharField(
        "caller's number",
        max_length=24,
        blank=True,
        default="",
        validators=[validate_caller_number],
        help_text="Shown in place of the caller's own number where the line above says so.",
    )

    max_calls = models.PositiveIntegerField(
        "most calls at the same time",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
        help_text="A trunk that carries so many calls is skipped. Empty: no limit.",
    )
    max_cps = models.PositiveIntegerField(
        "most calls a second",
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(10_000)],
        help_text="A trunk that has had so many calls in the last second is skipped. Empty: no "
        "limit.",
    )
    health_override = models.CharField(
        "taken for",
        max_length=4,
        default=Health.AUTO.value,
        choices=[
            (Health.AUTO.value, "by its attempts"),
            (Health.UP.value, "always up"),
            (Health.DOWN.value, "down by hand"),
        ],
        help_text="A trunk whose attempts keep failing is skipped until a trial call gets "
        "through, unless it is always up.",
    )

    class Meta:
        verbose_name = "trunk"
        verbose_name_plural = "trunks"
        permissions = [("test_trunk", "Can place test calls through trunks")]
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def capacity(self) -> LimitRow:
        """The calls that it itself holds at the same time, as a limit; it must have `max_calls`."""
        assert self.max_calls is not None  # noqa: S101 - whoever asks has looked
        return LimitRow(
            Scope.CAPACITY,
            self.name,
            Metric.CONCURRENT,
            self.max_calls,
            counted_as=self.counted_as,
        )

    def clean(self) -> None:
        wrong: dict[str, str] = {}
        if self.rewrite_replace and not self.rewrite_match:
            wrong["rewrite_match"] = "A replacement needs an expression that says what is replaced."
        elif self.rewrite_match:
            try:
                rewrites.check(self.rewrite_match, self.rewrite_replace)
            except rewrites.RewriteError as error:
                wrong["rewrite_replace"] = str(error)
        fixed = self.caller_id_policy == CallerIdPolicy.FIXED
        shown = fixed or self.caller_id_policy == CallerIdPolicy.ACCOUNT
        if fixed and not self.caller_id:
            wrong["caller_id"] = "Say which number is shown as the caller's."
        elif self.caller_id and not shown:
            wrong["caller_id"] = (
                "This number would never be shown: choose above that it is, or leave it empty."
            )
        if wrong:
            raise ValidationError(wrong)
