"""Endpoints: a trunk's dial string with a number in it. Pure.

A dial string is a program to Asterisk. `UnicastRTP/…` sends a caller's voice to any address and
`Local/{number}@from-callers` dials as anybody whom the dialplan lets in, so technologies and the
contexts of Local channels are allowed one by one.
"""

import re

from calls.routing.policy import Policy

_PHONE = re.compile(r"[A-Za-z0-9._+-]{1,80}")
NUMBER_PLACE = "{number}"
_ENDS = re.compile(r"[/:;?@]")
_FOR_THE_EYE = re.compile(r"[-.()]")
LOCAL = "Local"


def why_not(dial_string: str, policy: Policy) -> str:
    """What keeps the dial string from being dialled, in words that follow ``it``; '' if nothing.

    Technologies are compared to the letter: Asterisk takes ``local`` for ``Local``.
    """
    technology, _, resource = dial_string.partition("/")
    if technology == LOCAL:
        # As Asterisk reads it: what follows / are options, what follows the first @ is the context.
        context = resource.partition("/")[0].partition("@")[2]
        if context in policy.local_contexts:
            return ""
        return f"dials the context {context[:40]!r}, which LOCAL_CONTEXTS does not name"
    if technology in policy.technologies:
        return ""
    return f"is of the technology {technology[:20]!r}, which DIAL_TECHNOLOGIES does not name"


def is_phone(name: str) -> bool:
    """Whether this can be the name of a phone's endpoint."""
    return _PHONE.fullmatch(name) is not None


def phones_of(names: str, code: str) -> tuple[str, ...]:
    """The phones of an account: those named, else the one called like its code."""
    return tuple(names.split()) or ((code,) if is_phone(code) else ())


def phone(name: str) -> str:
    """What Asterisk is to dial for a phone."""
    return f"PJSIP/{name}"


def endpoint(dial_string: str, number: str) -> str:
    """What Asterisk is to dial for a number that may be put into a dial string."""
    return dial_string.replace(NUMBER_PLACE, number)


def dialled(dial_string: str, number: str) -> str:
    """The number as it leaves: with what the dial string has around its place, up to the next of
    ``/ : ; ? @``, and without what parts digits only for the eye (RFC 3966: ``- . ( )``)."""
    before, place, after = dial_string.partition(NUMBER_PLACE)
    if not place:
        return number
    around = _ENDS.split(before)[-1], _ENDS.split(after)[0]
    front, back = (_FOR_THE_EYE.sub("", each) for each in around)
    return front + number + back
