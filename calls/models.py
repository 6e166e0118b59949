"""Who may call, by which trunks, to which numbers. Live calls are in Redis, not here."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from calls import rewrites, schedules
from calls.limit_models import Limit
from calls.limit_rules import Health
from calls.rows import CallerIdPolicy, Side
from calls.validators import (
    validate_account_code,
    validate_added_prefix,
    validate_blocked_prefix,
    validate_caller_number,
    validate_country_code,
    validate_dial_string,
    validate_dialled_prefix,
    validate_prefix,
    validate_rewrite,
    validate_schedule,
    validate_time_zone,
)

__all__ = ["Account", "Block", "Limit", "Route", "RouteTarget", "Trunk"]


class Account(models.Model):
    """Who pays for a call; a caller that belongs to no enabled account is refused."""

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
        help_text="Shown by trunks that show the account's number as the caller's.",
    )

    class Meta:
        verbose_name = "account"
        verbose_name_plural = "accounts"
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"

    def clean(self) -> None:
        self.time_zone = self.time_zone or "UTC"
        if self.national_prefix and not self.country_code:
            raise ValidationError(
                {
                    "national_prefix": "A national prefix says nothing without the country code "
                    "that a number gets in its place."
                }
            )


class Trunk(models.Model):
    """A way out: what Asterisk dials, and in which form numbers go there."""

    name = models.CharField("name", max_length=64, unique=True)
    dial_string = models.CharField(
        "dial string",
        max_length=200,
        validators=[validate_dial_string],
        help_text="What Asterisk dials, {number} standing for the number: "
        "PJSIP/{number}@carrier-a or Local/{number}@monkeys.",
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
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

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


class Route(models.Model):
    """What happens to numbers with a prefix; the longest prefix wins."""

    class Action(models.TextChoices):
        ROUTE = "route", "route to trunks"
        BLOCK = "block", "block"

    prefix = models.CharField(
        "prefix",
        max_length=15,
        blank=True,
        default="",
        validators=[validate_prefix],
        help_text="The number's first digits, country code first. Empty: the default route.",
    )
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="routes",
        verbose_name="account",
        help_text="Empty: for all accounts. An account's own route wins over one for all "
        "with the same prefix.",
    )
    action = models.CharField("action", max_length=8, choices=Action.choices, default=Action.ROUTE)
    enabled = models.BooleanField(
        "enabled",
        default=True,
        help_text="A disabled route is as if it were not there: a shorter prefix may match.",
    )
    valid_from = models.DateTimeField(
        "valid from",
        null=True,
        blank=True,
        help_text="Before this time the route is as if it were not there.",
    )
    valid_until = models.DateTimeField(
        "valid until",
        null=True,
        blank=True,
        help_text="From this time on the route is as if it were not there.",
    )
    schedule = models.CharField(
        "schedule",
        max_length=schedules.MAX_TEXT,
        blank=True,
        default="",
        validators=[validate_schedule],
        help_text="When the route holds, in the calling account's time zone: mon-fri 08:00-18:00, "
        "sat 09:00-12:00. 22:00-06:00 goes on into the next day; daily is every day. "
        "Empty: always.",
    )
    note = models.CharField("note", max_length=200, blank=True, default="")

    class Meta:
        verbose_name = "route"
        verbose_name_plural = "routes"
        ordering = ["prefix", "account_id"]
        constraints = [
            # Its index, prefix first, also serves the search for a number's prefixes.
            models.UniqueConstraint(
                fields=["prefix", "account"],
                name="route_once_per_account",
                violation_error_message="This account already has a route for this prefix.",
            ),
            # A unique index takes NULLs for different, so all accounts' routes need their own.
            models.UniqueConstraint(
                fields=["prefix"],
                condition=Q(account__isnull=True),
                name="route_once_for_all",
                violation_error_message="There already is a route for this prefix "
                "and all accounts.",
            ),
        ]

    def __str__(self) -> str:
        whose = f" for {self.account.code}" if self.account else ""
        return f"{self.prefix or 'default'}{whose}"

    def clean(self) -> None:
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValidationError(
                {"valid_until": "This is not after the time from which the route is valid."}
            )


class RouteTarget(models.Model):
    """One trunk of a route."""

    route = models.ForeignKey(
        Route, models.CASCADE, related_name="targets", verbose_name="route", db_index=False
    )
    trunk = models.ForeignKey(Trunk, models.PROTECT, related_name="targets", verbose_name="trunk")
    priority = models.PositiveSmallIntegerField(
        "priority",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(999)],
        help_text="Trunks are tried in this order, 1 first.",
    )
    weight = models.PositiveSmallIntegerField(
        "weight",
        default=100,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="The trunk's share among those of the same priority.",
    )
    strip_digits = models.PositiveSmallIntegerField(
        "digits to strip",
        default=0,
        validators=[MaxValueValidator(15)],
        help_text="Taken off the number's front for this route, before the trunk's own rewriting.",
    )
    add_prefix = models.CharField(
        "prefix to add",
        max_length=16,
        blank=True,
        default="",
        validators=[validate_added_prefix],
        help_text="Put in front after that, before the trunk's own rewriting.",
    )

    class Meta:
        verbose_name = "target"
        verbose_name_plural = "targets"
        ordering = ["route_id", "priority", "id"]
        constraints = [
            # Its index also finds a route's targets.
            models.UniqueConstraint(
                fields=["route", "trunk"],
                name="route_target_once",
                violation_error_message="This trunk already is a target of this route.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.trunk} (priority {self.priority}, weight {self.weight})"


class Block(models.Model):
    """A blocklist entry: calls to, or from, numbers with a prefix are refused."""

    side = models.CharField(
        "blocks calls",
        max_length=6,
        choices=[
            (Side.CALLEE.value, "to these numbers"),
            (Side.CALLER.value, "from these numbers"),
        ],
        default=Side.CALLEE.value,
    )
    prefix = models.CharField(
        "prefix",
        max_length=15,
        validators=[validate_blocked_prefix],
        help_text="The numbers' first digits, country code first; a whole number blocks it "
        "and what begins with it.",
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
