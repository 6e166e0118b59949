"""What the search box over call records understands. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

_NUMBER_FILLING = re.compile(r"[\s().\-/]+")
_DIGITS = re.compile(r"[0-9]{1,32}")
_SIP_CALL_ID = re.compile(r"[^\s@]+@[^\s@]+|[\w.%*+~!-]{16,}", re.ASCII)
"""What Call-IDs look like (RFC 3261, 25.1: word [ "@" word ]); without an @ they are long."""


class Kind(StrEnum):
    """What a search is for; each is answered by one index."""

    NOTHING = "nothing"
    CALL_ID = "call_id"
    CALLEE_PREFIX = "callee_prefix"
    SIP_CALL_ID = "sip_call_id"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Search:
    """A search as understood; ``text`` is one of the two ids, or the callee's first digits."""

    kind: Kind
    text: str = ""


def parse(text: str) -> Search:
    """Tell a call id (it has a ``:``) from the first digits of a called number and a SIP Call-ID.

    Numbers may be written with ``+``, spaces, dots, dashes, slashes and brackets. Anything else is
    :attr:`Kind.UNKNOWN`: it would need a scan of the whole table.
    """
    text = text.strip()
    if not text:
        return Search(Kind.NOTHING)
    if ":" in text:
        return Search(Kind.CALL_ID, text)
    digits = _NUMBER_FILLING.sub("", text).removeprefix("+")
    if _DIGITS.fullmatch(digits):
        return Search(Kind.CALLEE_PREFIX, digits)
    if _SIP_CALL_ID.fullmatch(text):
        return Search(Kind.SIP_CALL_ID, text)
    return Search(Kind.UNKNOWN, text)
