"""A trunk's rewrite: a regular expression on the number it is about to be sent.

RE2 matches in time proportional to the number's length whatever the expression is; with Python's
own `re` a careless `(\\d+)+$` would hold up every call of a worker.
"""

import re
from functools import lru_cache
from typing import Any

import re2

from calls.errors import CallError

MAX_PATTERN = 100
"""The longest expression, in characters."""
MAX_MEMORY = 1 << 20
"""What one expression may take when it is compiled, in bytes; repetitions of repetitions do."""

_REPLACEMENT = re.compile(r"(?:[+0-9*#A-D]|\\[1-9])*")
_GROUP = re.compile(r"\\([1-9])")


class RewriteError(CallError):
    """A rewrite cannot be used; the text is a sentence for the person who wrote it."""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The expression, ready to match. Raises RewriteError with a sentence if it is none."""
    if len(pattern) > MAX_PATTERN:
        raise RewriteError(
            f"An expression has up to {MAX_PATTERN} characters, this one {len(pattern)}."
        )
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise RewriteError(
            f"This is no regular expression of RE2 (which has no look-around and no "
            f"back-references): {why}."
        ) from error


def check(pattern: str, replacement: str) -> None:
    """Raise RewriteError with a sentence unless the two make a rewrite."""
    groups = compiled(pattern).groups
    if _REPLACEMENT.fullmatch(replacement) is None:
        raise RewriteError(
            "A replacement is made of + 0-9 * # A-D, and of \\1 to \\9 for what the expression's "
            "groups matched."
        )
    for group in _GROUP.findall(replacement):
        if int(group) > groups:
            raise RewriteError(f"The expression has {groups} groups, so there is no \\{group}.")


def rewrite(pattern: str, replacement: str, number: str) -> str:
    """The number with the first match replaced; the number itself where nothing matches.

    Raises RewriteError when the two make no rewrite, as they may where rows were not validated.
    """
    check(pattern, replacement)
    rewritten: str = compiled(pattern).sub(replacement, number, count=1)
    return rewritten
