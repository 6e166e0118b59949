"""A change to a route's trunks that goes to a part of its calls first, and back by itself."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from calls.models.routes import Route, RouteTarget, TargetFields
from calls.models.trunks import Trunk

SHARES = (1, 10, 50, 100)
"""Percent of the calls, step by step; at the last one the change is taken over."""


class Canary(models.Model):
    """A trial of other trunks for a route. While it runs its trunks are rows of their own; what is
    left of it afterwards is how both sides were, and why it ended."""

    class State(models.TextChoices):
        """How far it is."""

        RUNNING = "running", "running"
        TAKEN_OVER = "taken over", "taken over"
        WENT_BACK = "went back", "went back"

    route = models.ForeignKey(
        Route, models.CASCADE, related_name="canaries", verbose_name="route", db_index=False
    )
    share = models.PositiveSmallIntegerField(
        "share",
        choices=[(share, f"{share} % of the calls") for share in SHARES[:-1]],
        default=SHARES[0],
        help_text="Drawn from each call's id: a call that tries the new trunks at 10 % tries them "
        "at 50 % too.",
    )
    steps_up = models.BooleanField(
        "steps up by itself",
        default=True,
        help_text="To the next share, and at last to all calls, each time after enough calls that "
        "were no worse. It goes back by itself in any case.",
    )
    enough = models.PositiveIntegerField(
        "enough calls",
        default=200,
        validators=[MinValueValidator(50), MaxValueValidator(1_000_000)],
        help_text="By the new trunks, at each share, before it steps up.",
    )
    note = models.CharField("note", max_length=200, blank=True, default="")
    state = models.CharField(
        "state",
        max_length=10,
        choices=State.choices,
        default=State.RUNNING.value,
        editable=False,
    )
    by = models.CharField("begun by", max_length=150, blank=True, default="", editable=False)
    begun_at = models.DateTimeField("begun", auto_now_add=True)
    stage_at = models.DateTimeField("share since", editable=False)
    ended_at = models.DateTimeField("ended", null=True, blank=True, editable=False)
    why = models.CharField("why it ended", max_length=500, blank=True, default="", editable=False)
    ended_by = models.CharField(
        "ended by",
        max_length=150,
        blank=True,
        default="",
        editable=False,
        help_text="Nobody: by itself.",
    )
    looks = models.PositiveIntegerField("looks", default=0, editable=False)
    judged_calls = models.PositiveIntegerField("calls at the last look", default=0, editable=False)
    looked_at = models.DateTimeField("looked at", null=True, blank=True, editable=False)
    found = models.JSONField("found", default=dict, editable=False)
    before = models.JSONField("the route's trunks before", default=list, editable=False)
    tried = models.JSONField("the trunks that were tried", default=list, editable=False)

    class Meta:
        verbose_name = "canary"
        verbose_name_plural = "canaries"
        ordering = ["-begun_at", "-id"]
        constraints = [
            # Its index also finds the running ones, of which there are few.
            models.UniqueConstraint(
                fields=["route"],
                condition=Q(state="running"),
                name="canary_once_a_route",
                violation_error_message="This route has a canary already.",
            ),
        ]
        indexes = [models.Index(fields=["route"], name="canary_of_route")]

    def __str__(self) -> str:
        return f"canary {self.pk} of route {self.route}" if self.pk else "canary"

    @property
    def is_running(self) -> bool:
        return self.state == self.State.RUNNING

    def clean(self) -> None:
        if self.route_id is not None and self.route.action != Route.Action.ROUTE:
            raise ValidationError({"route": "This route blocks its numbers: it has no trunks."})


class CanaryTarget(TargetFields):
    """One trunk that a running canary tries."""

    canary = models.ForeignKey(
        Canary, models.CASCADE, related_name="targets", verbose_name="canary", db_index=False
    )
    trunk = models.ForeignKey(Trunk, models.PROTECT, related_name="+", verbose_name="trunk")

    class Meta:
        verbose_name = "trunk that is tried"
        verbose_name_plural = "trunks that are tried"
        ordering = ["canary_id", "priority", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["canary", "trunk"],
                name="canary_target_once",
                violation_error_message="This trunk is tried already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.trunk} (priority {self.priority}, weight {self.weight})"


TARGET_FIELDS = ("priority", "weight", "strip_digits", "add_prefix")


def plain_targets(rows: "models.QuerySet[Any]") -> list[dict[str, Any]]:
    """Trunks of a route or a canary as what is left of them: by name, in the order of trying."""
    return [
        {"trunk": row.trunk.name} | {name: getattr(row, name) for name in TARGET_FIELDS}
        for row in rows.select_related("trunk").order_by("priority", "-weight", "trunk__name")
    ]


def targets_of(route: Route) -> list[dict[str, Any]]:
    """The route's trunks as they are now, plain."""
    return plain_targets(RouteTarget.objects.filter(route=route))
