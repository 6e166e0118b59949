"""Alarms that watching the accounts has raised."""

from django.db import models

KINDS = [("calls", "calls"), ("countries", "countries"), ("minutes", "minutes")]


class Alarm(models.Model):
    """An account's hour that was far above what is usual for it. Written by calls.alarms.watch."""

    account = models.CharField("account", max_length=80, help_text="Its code.")
    kind = models.CharField("what jumped", max_length=9, choices=KINDS)
    at = models.DateTimeField("noticed")
    seen = models.PositiveIntegerField("within the hour")
    usual = models.PositiveIntegerField("usual at most")
    looked_at_by = models.CharField("looked at by", max_length=150, blank=True, default="")

    class Meta:
        verbose_name = "alarm"
        verbose_name_plural = "alarms"
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["account", "kind", "at"], name="alarm_account_kind_at")]

    def __str__(self) -> str:
        return f"{self.account}: {self.seen} {self.kind} within an hour, usual {self.usual} at most"
