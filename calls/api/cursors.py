"""Cursors of lists: where the next page begins, as a text that only we read. Pure."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from calls.api.problems import Problem


def cursor_of(*key: Any) -> str:
    """The cursor behind a row with this key."""
    return urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def key_of(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The key that `cursor_of` wrote. Raises Problem where it is none of these kinds."""
    try:
        key: Any = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        key = None
    if not isinstance(key, list) or [type(each) for each in key] != list(kinds):
        raise Problem(422, "invalid", "The cursor is none that this address gave.")
    return key
