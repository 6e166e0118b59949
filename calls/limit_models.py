"""What accounts, trunks and prefixes may use. What they do use is counted in Redis, not here."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from calls.limit_rules import LimitRow, Metric, Mode, Scope, Window, name_of
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
    target = models.CharField(
        "target",
        max_length=80,
        blank=True,
        default="",
        help_text="The account's code, the trunk's name or the first digits of the number. "
        "Empty for all calls.",
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

    class Meta:
        verbose_name = "limit"
        verbose_name_plural = "limits"
        ordering = ["scope", "target", "metric", "window"]
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "target", "metric", "window"],
                name="limit_once",
                violation_error_message="There already is a limit of this kind for this target.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """As records and logs name it: ``account demo: 50 concurrent``."""
        return name_of(self.scope, self.target, self.metric, self.value, self.window)

    def row(self, time_zone: str) -> LimitRow:
        """The limit as the engine has it."""
        return LimitRow(
            scope=Scope(self.scope),
            target=self.target,
            metric=Metric(self.metric),
            value=self.value,
            window=self.window,
            enforce=self.mode == Mode.ENFORCE,
            warn_percent=self.warn_percent,
            time_zone=time_zone,
        )

    def clean(self) -> None:
        """Refuse what would never count anything, or not what its maker meant."""
        errors: dict[str, str] = {}
        for check in (self._check_target, self._check_metric, self._check_window):
            errors |= check()
        if errors:
            raise ValidationError(errors)

    def _check_target(self) -> dict[str, str]:
        from calls.models import Account, Trunk

        if self.scope == Scope.GLOBAL:
            if self.target:
                return {"target": "A limit for all calls has no target: leave it empty."}
        elif not self.target:
            return {
                "target": "Say whose calls are counted: the account's code, the trunk's name or "
                "the first digits of the number."
            }
        elif self.scope == Scope.PREFIX:
            try:
                validate_prefix(self.target)
            except ValidationError:
                return {"target": "A prefix is made of up to 15 digits, without + in front."}
        elif self.scope == Scope.ACCOUNT:
            if not Account.objects.filter(code=self.target).exists():
                return {"target": "No account has this code."}
        elif self.scope == Scope.TRUNK and not Trunk.objects.filter(name=self.target).exists():
            return {"target": "No trunk has this name."}
        return {}

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
