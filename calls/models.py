"""Who may call, by which trunks, to which numbers. Live calls are in Redis, not here."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from calls.limit_models import Limit
from calls.limit_rules import Health
from calls.validators import (
    validate_account_code,
    validate_added_prefix,
    validate_caller_number,
    validate_dial_string,
    validate_prefix,
)

__all__ = ["Account", "Limit", "Route", "RouteTarget", "Trunk"]


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

    class Meta:
        verbose_name = "account"
        verbose_name_plural = "accounts"
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


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
    caller_id = models.CharField(
        "caller's number",
        max_length=24,
        blank=True,
        default="",
        validators=[validate_caller_number],
        help_text="Sent in place of the caller's own number. Empty: the caller's is passed on.",
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
