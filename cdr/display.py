"""How times, spans and causes are written in the admin."""

import re
from datetime import UTC, datetime
from enum import StrEnum

from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

NEVER = "-"
_CODE = re.compile(r"`([^`]+)`")


def clock(ms: int) -> str:
    """Write milliseconds as ``m:ss``, or ``h:mm:ss`` from an hour on."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def span(ms: int | None) -> str:
    """Write milliseconds as seconds with three decimals; a dash for what never was."""
    return NEVER if ms is None else f"{ms / 1000:.3f} s"


def causes(q850_cause: int | None, sip_code: int | None) -> str:
    """Write the Q.850 cause and the SIP code, as ``17 / 486``."""
    return " / ".join(NEVER if code is None else str(code) for code in (q850_cause, sip_code))


class Form(StrEnum):
    """How much of a time is written; what is left out is seen on hover."""

    SECONDS = "seconds"
    EXACT = "exact"
    """To the millisecond, as records are compared with a carrier's."""
    CLOCK = "clock"
    """The time of day alone, of what is of today."""
    MINUTES = "minutes"
    """Of what begins with an hour."""


_FORMATS = {
    Form.SECONDS: "%Y-%m-%d %H:%M:%S",
    Form.EXACT: "%Y-%m-%d %H:%M:%S.%f",
    Form.CLOCK: "%H:%M:%S",
    Form.MINUTES: "%Y-%m-%d %H:%M",
}


def moment(time: datetime | None, form: Form = Form.SECONDS) -> SafeString | str:
    """A time in its reader's zone, with UTC to the millisecond on hover.

    The zone is the active one (project/zones.py); a script brings the first page, which comes
    before the reader's zone is known, into the same form.
    """
    if time is None:
        return NEVER
    utc = time.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC" data-form="{}">{}</time>',
        utc.isoformat(timespec="milliseconds"),
        _written(utc, Form.EXACT),
        form.value,
        _written(timezone.localtime(time), form),
    )


def with_code(sentence: str) -> SafeString:
    """A sentence with what stands between backticks as code, all of it escaped."""
    # Escaping leaves backticks as they are.
    return mark_safe(_CODE.sub(r"<code>\1</code>", escape(sentence)))  # noqa: S308


def _written(time: datetime, form: Form) -> str:
    text = time.strftime(_FORMATS[form])
    return text[:-3] if form is Form.EXACT else text
