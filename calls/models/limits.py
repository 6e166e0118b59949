"""What accounts, trunks and prefixes may use. What they do use is counted in Redis, not here."""

from typing import Any

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from calls.limits.rules import LimitRow, Metric, Mode, Scope, Window, name_of
from calls.models.accounts import Account
from calls.models.trunks import Trunk
from calls.validators import validate_prefix

SCOPES = {
    Scope.GLOBAL: "all calls",
    Scope.ACCOUNT: "account",
    Scope.TRUNK: "trunk",
    Scope.PREFIX: "prefix",
}
METRICS = {
    Metric.CONCURRENT: "concurrent calls",
    Metric.CPS: "calls a second",
    Metric.MINUTES: "minutes of talk",
    Metric.MAX_DURATION: "longest call, seconds",
}
WINDOWS = {Window.DAY: "day", Window.MONTH: "month"}
MODES = {Mode.ENFORCE: "enforce", Mode.OBSERVE: "observe"}
MOST = {
    Metric.CONCURRENT: 100_000,
    Metric.CPS: 10_000,
    Metric.MINUTES: 100_000_000,
    Metric.MAX_DURATION: 86_400,
}
"""The highest value of each metric: past it somebody has mistyped, or meant another metric."""


class Limit(models.Model):
    """How much of something one account, trunk, prefix or everybody together may use."""

    scope = models.CharField(
        "scope",
        max_length=8,
        choices=[(key.value, label) for key, label in SCOPES.items()],
        help_text="Whose calls are counted.",
    )
    account = models.ForeignKey(
        Account,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
        verbose_name="account",
        help_text="Of a limit of an account. It goes with the account; renaming keeps it.",
    )
    trunk = models.ForeignKey(
        Trunk,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
        verbose_name="trunk",
        help_text="Of a limit of a trunk. It goes with the trunk; renaming keeps it.",
    )
    prefix = models.CharField(
        "prefix",
        max_length=15,
        blank=True,
        default="",
        db_default="",
        help_text="Of a limit of a prefix: the number's first digits, country code first.",
    )
    metric = models.CharField(
        "metric",
        max_length=12,
        choices=[(key.value, label) for key, label in METRICS.items()],
        help_text="What is counted.",
    )
    value = models.PositiveIntegerField(
        "value",
        validators=[MinValueValidator(1), MaxValueValidator(100_000_000)],
        help_text="The most that is allowed.",
    )
    window = models.CharField(
        "window",
        max_length=5,
        blank=True,
        default="",
        choices=[(key.value, label) for key, label in WINDOWS.items()],
        help_text="How long minutes are added up, by the account's own calendar. Empty for "
        "everything else.",
    )
    mode = models.CharField(
        "mode",
        max_length=8,
        default=Mode.ENFORCE.value,
        choices=[(key.value, label) for key, label in MODES.items()],
        help_text="Observe refuses nobody and counts whom it would have refused.",
    )
    warn_percent = models.PositiveSmallIntegerField(
        "warn at, percent",
        default=80,
        validators=[MaxValueValidator(100)],
        help_text="A sentence in the log, and a mark in the list, when so much of the minutes is "
        "used. 0: never.",
    )
    enabled = models.BooleanField(
        "enabled", default=True, help_text="A disabled limit counts nothing."
    )
    note = models.CharField("note", max_length=200, blank=True, default="", db_default="")

    class Meta:
        verbose_name = "limit"
        verbose_name_plural = "limits"
        ordering = ["scope", "account__code", "trunk__name", "prefix", "metric", "window"]
        constraints = [
            models.UniqueConstraint(
                fields=["metric", "window"],
                condition=Q(scope=Scope.GLOBAL.value),
                name="limit_once_for_all",
                violation_error_message="There already is a limit of this kind for all calls.",
            ),
            models.UniqueConstraint(
                fields=["account", "metric", "window"],
                name="limit_once_per_account",
                violation_error_message="This account already has a limit of this kind.",
            ),
            models.UniqueConstraint(
                fields=["trunk", "metric", "window"],
                name="limit_once_per_trunk",
                violation_error_message="This trunk already has a limit of this kind.",
            ),
            models.UniqueConstraint(
                fields=["prefix", "metric", "window"],
                condition=Q(scope=Scope.PREFIX.value),
                name="limit_once_per_prefix",
                violation_error_message="This prefix already has a limit of this kind.",
            ),
            models.CheckConstraint(
                condition=Q(enabled=False)
                | Q(scope=Scope.GLOBAL.value, account=None, trunk=None, prefix="")
                | Q(scope=Scope.ACCOUNT.value, account__isnull=False, trunk=None, prefix="")
                | Q(scope=Scope.TRUNK.value, account=None, trunk__isnull=False, prefix="")
                | (Q(scope=Scope.PREFIX.value, account=None, trunk=None) & ~Q(prefix="")),
                name="limit_of_something",
                violation_error_message="A limit is of what its scope says, and of nothing else.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """As records and logs name it: ``account demo: 50 concurrent``."""
        return name_of(self.scope, self.target, self.metric, self.value, self.window)

    @property
    def target(self) -> str:
        """Whose calls it counts: the account's code, the trunk's name or the prefix."""
        row = self.account or self.trunk
        if row is None:
            return str(self.prefix)
        return str(getattr(row, row.NAMED_BY))

    @target.setter
    def target(self, text: str) -> None:
        """Raises ValueError where there is no such account or trunk. The scope is set first."""
        self.account, self.trunk, self.prefix = None, None, ""
        try:
            if self.scope == Scope.ACCOUNT:
                self.account = Account.objects.get(code=text)
            elif self.scope == Scope.TRUNK:
                self.trunk = Trunk.objects.get(name=text)
            else:
                self.prefix = text
        except ObjectDoesNotExist:
            raise ValueError(f"There is no {self.scope} {text!r} to limit.") from None

    def row(self) -> LimitRow:
        """The limit as the engine has it."""
        counted = self.account or self.trunk
        return LimitRow(
            scope=Scope(self.scope),
            whose=self.target,
            counted_as=counted.counted_as if counted else "",
            metric=Metric(self.metric),
            value=self.value,
            window=self.window,
            enforce=self.mode == Mode.ENFORCE,
            warn_percent=self.warn_percent,
            time_zone=(self.account.time_zone or "UTC") if self.account else "UTC",
        )

    def clean(self) -> None:
        """Refuse what would never count anything, or not what its maker meant."""
        errors: dict[str, str] = {}
        for check in (self._check_target, self._check_metric, self._check_window):
            errors |= check()
        if errors:
            raise ValidationError(errors)

    def _check_target(self) -> dict[str, str]:
        given = {"account": self.account, "trunk": self.trunk, "prefix": self.prefix}
        wrong = {
            field: f"A limit of {SCOPES[Scope(self.scope)]} has no {field}: leave it empty."
            for field, value in given.items()
            if value and field != self.scope and self.scope in SCOPES
        }
        if self.scope in given and not given[self.scope]:
            wrong[self.scope] = "Say whose calls are counted."
        elif self.scope == Scope.PREFIX:
            try:
                validate_prefix(self.prefix)
            except ValidationError:
                wrong["prefix"] = "A prefix is made of up to 15 digits, without + in front."
        return wrong

    def _check_metric(self) -> dict[str, str]:
        if self.scope == Scope.TRUNK and self.metric in (Metric.MINUTES, Metric.MAX_DURATION):
            return {
                "metric": "A trunk is limited by its concurrent calls or its calls a second; "
                "minutes and the longest call are limits of accounts, prefixes or all calls."
            }
        most = MOST.get(Metric(self.metric)) if self.metric in METRICS else None
        if most is not None and self.value is not None and self.value > most:
            return {"value": f"For {METRICS[Metric(self.metric)]} the value is {most:,} at most."}
        return {}

    def _check_window(self) -> dict[str, str]:
        if self.metric == Metric.MINUTES and not self.window:
            return {"window": "Minutes need a window: a day or a month."}
        if self.metric != Metric.MINUTES and self.window:
            return {"window": "Only minutes have a window: leave it empty."}
        return {}


def limit_new_account(
    sender: type[Account], instance: Account, created: bool, raw: bool = False, **kwargs: Any
) -> None:
    """Give an account that has just been made, by whatever way, the limits of the settings.

    They are rows as any other: seen, changed and deleted in the admin.
    """
    if not created or raw:
        return
    for metric, window, value in (
        (Metric.CONCURRENT, "", settings.NEW_ACCOUNT_MAX_CALLS),
        (Metric.MINUTES, Window.DAY.value, settings.NEW_ACCOUNT_MINUTES_A_DAY),
    ):
        if value:
            Limit.objects.get_or_create(
                scope=Scope.ACCOUNT.value,
                account=instance,
                metric=metric.value,
                window=window,
                defaults={"value": value},
            )
