"""The steps of a decision, for people who ask why a call goes where it goes. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """What a step is about."""

    ACCOUNT = "account"
    CALLER = "caller"
    CALLEE = "callee"
    BLOCKLIST = "blocklist"
    ALLOWED = "allowed prefixes"
    PREFIX = "prefix"
    TARGET = "target"
    CANARY = "canary"
    LIMIT = "limit"
    DRAIN = "drain"


class Mark(StrEnum):
    """What came of a step."""

    FOUND = "found"
    """It is so, and the decision goes on with it."""
    PASSED_OVER = "passed over"
    """It does not apply; the decision goes on without it."""
    REFUSED = "refused"
    """It ends the call."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at. ``detail`` says what was found, in words."""

    topic: Topic
    subject: str
    mark: Mark
    detail: str = ""
