"""The form of a log line: text for people, or JSON for programs; neither holds a secret."""

import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from calls import log_context

STARS = "***"
# C0 and C1 controls, and the two separators that some viewers break lines at.
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}
# From "scheme://" to the last "@" of the word: a password may hold a "/" that its writer forgot to
# encode. What stands before the "@" is left out whole, as a Redis password may have no user.
_CREDENTIALS = re.compile(r"(?<=://)\S*@")
# A header, or a field of a form or of JSON, that is named as a secret; a token of the API; a secret
# of the Standard Webhooks specification.
_NAMED = re.compile(
    r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic|digest)\s+)?"
    r"|[\w-]{0,40}(?:password|passwd|secret(?:[_-]?key)?|api[_-]?key|_token)[\"']?"
    # Behind a colon a sentence may go on; what has a digit, or stands in quotes, is no word of it.
    r"(?:\s*=\s*[\"']?|\s*:\s*[\"']|\s*:\s*(?=\S*\d))"
    r"|bearer\s+(?=[\w.~+/-]{16})"
    r"|rm_(?=\w{6})|whsec_(?=\w{6}))[^\s\"',;&}]+"
)
_HINTS = ("://", "rm_", "whsec_")
_HINT_WORDS = re.compile(r"(?i)authorization|bearer|passw|secret|key|token")
_hidden: re.Pattern[str] | None = None


def hide(secrets: Iterable[str]) -> None:
    """Let no line hold any of these texts, from now on."""
    global _hidden
    longest_first = sorted({each for each in secrets if each}, key=len, reverse=True)
    _hidden = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def redacted(text: str) -> str:
    """``text`` with ``***`` in place of every secret that is known, or named as one.

    User and password of every address, what follows ``password=`` and its like, tokens, and what
    `hide` was told.
    """
    if "://" in text:
        text = _CREDENTIALS.sub(f"{STARS}@", text)
    if _HINT_WORDS.search(text) or any(hint in text for hint in _HINTS):
        text = _NAMED.sub(rf"\1{STARS}", text)
    return text if _hidden is None else _hidden.sub(STARS, text)


def strangers_without_traceback(record: logging.LogRecord) -> bool:
    """A filter of the handler that keeps the sentence and drops what led to it, for what any
    stranger can bring about: a request with a wrong Host header, a form with a million fields.

    Django has a logger for each kind of them, so no filter of one logger would do.
    """
    if record.name.startswith("django.security"):
        record.exc_info = record.exc_text = None
    return True


def unless_health(record: logging.LogRecord) -> bool:
    """A logging filter that drops Django's line on an answer of /health/.

    That something is not ready is the answer, to somebody who asks every second; it is no fault.
    """
    path: str = getattr(getattr(record, "request", None), "path", "")
    return not path.startswith("/health/")


def call_of(record: logging.LogRecord) -> str:
    """The id of the call that a line is about: said with it, or of the turn that it came from."""
    said: str = getattr(record, "call_id", "")
    return said or log_context.call_id.get()


class OneLineFormatter(logging.Formatter):
    """Keeps a message on its line, and puts the call's id behind it where it does not hold it.

    Dialled numbers and caller names reach the log; a line break in one could forge an entry, an
    escape sequence could change the terminal. Controls are therefore written out as ``\\x0a``.
    Tracebacks keep their lines, each with a bar in front. Secrets are left out, wherever they come
    from.
    """

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))

    def formatException(self, ei: Any) -> str:
        # What an exception says may be a stranger's text with line breaks in it, and no line of it
        # is to look like an entry.
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  | {line.translate(_CONTROLS)}" for line in lines)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.translate(_CONTROLS)
        call = call_of(record).translate(_CONTROLS)
        line = super().formatMessage(record)
        return f"{line} [call {call}]" if call and call not in record.message else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, whatever is in the message; a traceback is one of its texts.

    ``time`` (RFC 3339, UTC, ms), ``level``, ``logger``, ``process`` (its id), ``message``; where
    there is one, ``call_id`` and ``exception``; and the fields of the line of a call that is over.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": redacted(record.getMessage()),
        }
        if call := call_of(record):
            line["call_id"] = call
        for name, value in getattr(record, "fields", {}).items():
            line.setdefault(name, redacted(value) if isinstance(value, str) else value)
        if record.exc_info:
            line["exception"] = redacted(self.formatException(record.exc_info))
        # What is no UTF-8, such as half a surrogate pair, is written as a question mark.
        return orjson.dumps(_clean(line), default=str).decode()


def _clean(line: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.encode(errors="replace").decode() if isinstance(value, str) else value
        for name, value in line.items()
    }


def formatter(form: str) -> logging.Formatter:
    """The formatter that LOG_FORMAT names: ``text`` or ``json``."""
    if form == "json":
        return JsonFormatter()
    return OneLineFormatter("{asctime} {levelname} {name} {message}", style="{")
