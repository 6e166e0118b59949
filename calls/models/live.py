"""What may be done with live calls. The calls themselves are in Redis: calls/store/mailbox.py."""

from django.db import models


class Call(models.Model):
    """A call that is up. It has no table: this only names what a user may be permitted."""

    class Meta:
        managed = False
        verbose_name = "live call"
        verbose_name_plural = "live calls"
        default_permissions = ("view",)
        permissions = [
            ("hangup_call", "Can hang up live calls"),
            ("originate_call", "Can place calls by the API"),
        ]

    def __str__(self) -> str:
        return "live call"
