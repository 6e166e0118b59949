"""Which Ringmaster this is, for a command line and for the admin's pages."""

import platform

import django
from django.http import HttpRequest

from project import __version__


def told() -> str:
    """One line with all that a report of a fault should name."""
    python = platform.python_version()
    return f"Ringmaster {__version__} (Django {django.get_version()}, Python {python})"


def in_pages(request: HttpRequest) -> dict[str, str]:
    """Context processor: the version, which the admin's footer shows."""
    return {"ringmaster_version": __version__}
