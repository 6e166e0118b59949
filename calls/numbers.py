"""Telephone numbers: what may be dialled, and one form in which all of them are compared.

Routes, blocklists and records know numbers as E.164 digits, country code first and no + in front
(ITU-T E.164). People dial them in the ways their country taught them; an account's numbering plan
says which.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

DIALLABLE = re.compile(r"\+?[0-9*#A-D]{1,32}")
"""What may be put into a dial string. Anything else in a dialled number (`@ / & , ^`) would change
where the call goes, which is how toll fraud is done, so the call is refused instead of cleaned."""

MAX_SHOWN = 64
"""Hostile numbers are shown in logs and records up to this length, in characters."""

MAX_PREFIX = 15
"""The longest prefix a route or a blocklist entry may have: E.164 numbers are not longer."""

_DIGITS = re.compile(r"[0-9]+")


class Form(StrEnum):
    """In which form a number was dialled."""

    PLUS = "international, with + in front"
    INTERNATIONAL = "international, with the account's international prefix"
    NATIONAL = "national, with the account's national prefix"
    WITHOUT_PREFIX = "national, as the account's country dials without a prefix"
    AS_IT_IS = "taken as it is"


@dataclass(frozen=True, slots=True)
class NumberingPlan:
    """How people of an account dial.

    ``country_code``: digits of the country whose numbers may be dialled nationally, '' for none.
    ``international_prefix``: dialled before a country code, '' if there is none.
    ``national_prefix``: dialled before a national number; '' where a country has none (Spain,
    Denmark), and then every number without + or the international prefix is a national one.
    """

    country_code: str = ""
    international_prefix: str = "00"
    national_prefix: str = ""


ANY_PLAN = NumberingPlan()


def recognise(number: str, plan: NumberingPlan = ANY_PLAN) -> tuple[str, Form] | None:
    """The number as it is routed, and the form it was dialled in; None if it is not diallable.

    What has ``*#A-D`` in it is no telephone number of any plan and stays as it is.
    """
    if DIALLABLE.fullmatch(number) is None:
        return None
    digits, form = _expanded(number, plan)
    return (digits, form) if DIALLABLE.fullmatch(digits) else None


def _expanded(number: str, plan: NumberingPlan) -> tuple[str, Form]:
    # Directory has the same choice in SQL, to find the prefixes; a test holds the two together.
    if number.startswith("+"):
        return number[1:], Form.PLUS
    if not _DIGITS.fullmatch(number):
        return number, Form.AS_IT_IS
    if plan.international_prefix and number.startswith(plan.international_prefix):
        return number[len(plan.international_prefix) :], Form.INTERNATIONAL
    if not plan.country_code:
        return number, Form.AS_IT_IS
    if not plan.national_prefix:
        return plan.country_code + number, Form.WITHOUT_PREFIX
    if number.startswith(plan.national_prefix):
        return plan.country_code + number[len(plan.national_prefix) :], Form.NATIONAL
    return number, Form.AS_IT_IS


def normalise(number: str, plan: NumberingPlan = ANY_PLAN) -> str | None:
    """The number as it is routed: digits and `*#A-D` without a leading +; None if not diallable."""
    known = recognise(number, plan)
    return known[0] if known else None


def prefixes_of(number: str) -> tuple[str, ...]:
    """Every prefix under which a route for *number* may stand, the empty one included."""
    return tuple(number[:length] for length in range(min(len(number), MAX_PREFIX) + 1))


def diallable(number: str) -> str:
    """The number if it could be dialled, else ''."""
    return number if DIALLABLE.fullmatch(number) else ""


def shown(text: str) -> str:
    """Text from outside as it may stand in a sentence: quoted, escaped and shortened."""
    return repr(text[:MAX_SHOWN])
