"""Checks at the start of every command, beside those of the settings (project/environment.py)."""

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

LOOSE = "project.W001"


@register(Tags.security)
def secrets_are_private(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Files that hold secrets and that others on this machine can read."""
    files = [settings.BASE_DIR / ".env", *_database_files()]
    return [
        Warning(
            f"{file} holds secrets, and others on this machine can read it.",
            hint=f"chmod 600 {file}",
            id=LOOSE,
        )
        for file in files
        if _is_loose(file)
    ]


def _database_files() -> list[Path]:
    return [
        Path(database["NAME"])
        for database in settings.DATABASES.values()
        if database["ENGINE"].endswith("sqlite3") and ":memory:" not in str(database["NAME"])
    ]


def _is_loose(file: Path) -> bool:
    try:
        return bool(stat.S_IMODE(file.stat().st_mode) & 0o077)
    except OSError:
        return False
