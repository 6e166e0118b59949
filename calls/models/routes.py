"""Which numbers go out by which trunks."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from calls.models.accounts import Account
from calls.models.trunks import Trunk
from calls.routing import schedules
from calls.validators import (
    validate_added_prefix,
    validate_prefix,
    validate_schedule,
)


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


NEEDS_TRUNK = (
    "A route to trunks needs at least one trunk. To refuse these numbers, choose the action block."
)
"""Said where a route is saved: a route has its trunks only once it is there itself."""


class TargetFields(models.Model):
    """How a trunk is tried, whoever names it."""

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
        abstract = True


class RouteTarget(TargetFields):
    """One trunk of a route."""

    route = models.ForeignKey(
        Route, models.CASCADE, related_name="targets", verbose_name="route", db_index=False
    )
    trunk = models.ForeignKey(Trunk, models.PROTECT, related_name="targets", verbose_name="trunk")

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
