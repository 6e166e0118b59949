"""What is drained: takes no new calls, while those that are up come to their end."""

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from calls.models.trunks import Trunk


class Drain(models.Model):
    """One thing that is drained, from when the row is made until it is deleted.

    Workers that take no calls are no configuration: see calls/store/drains.py.
    """

    class Kind(models.TextChoices):
        SWITCH = "switch", "the whole switch"
        NODE = "node", "a node"
        TRUNK = "trunk", "a trunk"

    kind = models.CharField("what is drained", max_length=6, choices=Kind.choices)
    node = models.CharField(
        "node", max_length=64, blank=True, default="", help_text="Its name in ARI_NODES."
    )
    trunk = models.ForeignKey(
        Trunk, models.CASCADE, null=True, blank=True, related_name="+", verbose_name="trunk"
    )
    why = models.CharField(
        "why",
        max_length=200,
        blank=True,
        default="",
        help_text="Stands in the records of the calls that are refused meanwhile.",
    )
    by = models.CharField("by", max_length=150, blank=True, default="")
    since = models.DateTimeField("since", auto_now_add=True)

    class Meta:
        verbose_name = "drain"
        verbose_name_plural = "drains"
        ordering = ["since", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "node"],
                condition=Q(trunk__isnull=True),
                name="drain_once",
                violation_error_message="This is being drained already.",
            ),
            models.UniqueConstraint(
                fields=["trunk"],
                name="drain_once_of_trunk",
                violation_error_message="This trunk is being drained already.",
            ),
            models.CheckConstraint(
                condition=Q(kind="switch", node="", trunk__isnull=True)
                | (Q(kind="node", trunk__isnull=True) & ~Q(node=""))
                | Q(kind="trunk", node="", trunk__isnull=False),
                name="drain_of_its_kind",
                violation_error_message="Name the node of a node, the trunk of a trunk, and "
                "neither of the whole switch.",
            ),
        ]

    def __str__(self) -> str:
        return {
            self.Kind.NODE.value: f"node {self.node}",
            self.Kind.TRUNK.value: f"trunk {self.trunk}",
        }.get(self.kind, "the switch")

    @property
    def name(self) -> str:
        """The node's or the trunk's; empty for the switch."""
        return self.node or (self.trunk.name if self.trunk is not None else "")

    def clean(self) -> None:
        if self.kind == self.Kind.NODE and not self.node:
            raise ValidationError({"node": "Say which node."})
        if self.kind == self.Kind.TRUNK and self.trunk_id is None:
            raise ValidationError({"trunk": "Say which trunk."})
