"""Who changed what, from which value to which, when and from where: django-auditlog's entries.

The name of who did it is copied, so that it stays when the user is deleted. Entries are written by
django-auditlog's signals, and for bulk writes, which send none, by calls/store/changes.py.
"""

import getpass
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditlog.context import auditlog_value
from auditlog.models import AbstractLogEntry
from django.conf import settings
from django.db import models

ADMIN = "admin"
API = "API"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts now: a user by a request, or whoever runs a command on a machine."""

    user: Any
    who: str
    via: str
    address: str | None


def acts_by_token(who: str, user: Any) -> None:
    """Note that the request of this context comes by an API token; ``user`` is whose it is."""
    request: dict[str, Any] = auditlog_value.get({})
    request["api_token"], request["actor"] = who, user


def actor() -> Actor:
    """Who acts in this context."""
    request: dict[str, Any] = auditlog_value.get({})
    user = request.get("actor")
    token = request.get("api_token")
    if token is not None:
        return Actor(user, token, API, request.get("remote_addr") or None)
    if user is not None:
        return Actor(user, user.get_username(), ADMIN, request.get("remote_addr") or None)
    if request:
        return Actor(None, "", ADMIN, request.get("remote_addr") or None)
    return Actor(None, f"{_login()}@{socket.gethostname()}"[:150], _program(), None)


class Change(AbstractLogEntry):  # type: ignore[misc]  # without types
    """One row that was made, changed or deleted."""

    # As in the parent, without the indexes that nothing asks and every entry would pay for.
    content_type = models.ForeignKey(
        "contenttypes.ContentType", models.CASCADE, related_name="+", db_index=False
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    object_pk = models.CharField("row's key", max_length=255)
    object_id = models.BigIntegerField("row's number", null=True, blank=True)
    action = models.PositiveSmallIntegerField("what", choices=AbstractLogEntry.Action.choices)
    cid = models.CharField("correlation id", max_length=255, null=True, blank=True)  # noqa: DJ001
    who = models.CharField("who", max_length=150, blank=True, default="")
    via = models.CharField(
        "via", max_length=80, blank=True, default="", help_text="The admin, or a command."
    )

    class Meta:
        verbose_name = "change"
        verbose_name_plural = "changes"
        get_latest_by = ["timestamp", "id"]
        ordering = ["-timestamp", "-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["content_type", "object_id"], name="change_of_row"),
            models.Index(fields=["who", "timestamp"], name="change_by"),
            models.Index(fields=["cid"], name="change_with"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.who and not self.via:
            now = actor()
            self.who, self.via = now.who, now.via
        super().save(*args, **kwargs)


def note(row: models.Model, what: str, before: str, after: str) -> None:
    """Note what happened to a row and stands in none of its columns, or in one that is not told: a
    new secret, a second factor, a total that was set back."""
    Change.objects.log_create(row, action=Change.Action.UPDATE, changes={what: [before, after]})


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return str(os.getuid())


def _program() -> str:
    name = Path(sys.argv[0] if sys.argv else "").name
    return " ".join([name, *sys.argv[1:2]] if name == "manage.py" else [name])[:80]
