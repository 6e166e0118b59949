"""Keeps passwords out of error pages; project/logs.py keeps them out of log lines."""

import re
from urllib.parse import quote, unquote, urlsplit

from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from project.logs import STARS, redacted

_SETTINGS_WITH_ADDRESSES = ("REDIS_URL", "LIMITS_REDIS_URL", "CELERY_BROKER_URL")


class DiscreetFilter(SafeExceptionReporterFilter):
    """Hides settings and variables of the environment that hold an address with a password."""

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|_URL$|^URL|ARI_NODES|DSN",
        flags=re.I,
    )


class DiscreetReporter(ExceptionReporter):
    """Django's error page, without the secrets of the settings wherever they stand in it.

    A debug page shows every local variable, and hiding settings by their names cannot know which
    variables hold a copy. So the finished page is searched for the secrets themselves.
    """

    def get_traceback_html(self) -> SafeString:
        return _without_secrets(super().get_traceback_html())

    def get_traceback_text(self) -> SafeString:
        return _without_secrets(super().get_traceback_text())


def _without_secrets(text: str) -> SafeString:
    for secret in sorted(secrets(), key=len, reverse=True):
        text = text.replace(secret, STARS)
    return mark_safe(redacted(text))  # noqa: S308 - Django's own page, with less in it


def secrets() -> set[str]:
    """The settings' passwords and keys, in each form in which a page or a line may hold them."""
    found = {settings.SECRET_KEY, settings.METRICS_TOKEN}
    found |= {node.password for node in settings.ARI_NODES.values()}
    found |= {str(each.get("PASSWORD") or "") for each in settings.DATABASES.values()}
    found |= {urlsplit(getattr(settings, name)).password or "" for name in _SETTINGS_WITH_ADDRESSES}
    forms = {
        form
        for secret in found
        for plain in (secret, unquote(secret))
        for form in (plain, quote(plain, safe=""), escape(plain), repr(plain)[1:-1])
    }
    # A short one stands in too many words that are none.
    return {form for form in forms if len(form) > 3}
