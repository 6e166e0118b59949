"""Telephone numbers: what may be dialled, and one form in which all of them are compared.

Routes, blocklists and records know numbers as E.164 digits, country code first and no + in front
(ITU-T E.164), or as short numbers of the caller's own country. People dial them in the ways their
country taught them; an account's numbering plan says which, and what is neither is refused: were
`0000449012345` taken for a number, no blocklist entry for 4490 would know it, and a carrier would.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

DIALLABLE = re.compile(r"\+?[0-9*#A-D]{1,32}")
"""What may be put into a dial string. Anything else in a dialled number (`@ / & , ^`) would change
where the call goes, which is how toll fraud is done, so the call is refused instead of cleaned."""

MAX_SHOWN = 64
"""Hostile numbers are shown in logs and records up to this length, in characters."""

MAX_PREFIX = 15
"""The longest prefix a route or a blocklist entry may have: E.164 numbers are not longer."""

OWN = "own"
"""The word that stands for an account's country code among the prefixes it may call."""

MIN_DIGITS = 5
"""The shortest number with a country code that is in use: +49 115. Shorter ones are short numbers
of some country, and only the account's plan says of which."""

_E164 = re.compile(rf"[1-9][0-9]{{{MIN_DIGITS - 1},{MAX_PREFIX - 1}}}")
_ELEVEN = re.compile(r"(?:1[2-9]|7(?!810))[0-9]{9,10}")
"""Numbers of the country codes 1 and 7 have eleven digits, and no area code of 1 begins with 0 or
1. So 11880, dialled without a plan that knows it, is nobody's number. Nor does one of 7 with 810,
which is how one dials abroad there."""

# fmt: off
TWO_DIGITS = frozenset(map(str, (
    20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56,
    57, 58, 60, 61, 62, 63, 64, 65, 66, 81, 82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
)))
# fmt: on
"""Country codes of two digits, as ITU-T assigns them; 1 and 7 have one, others three."""

BEGIN_WITH_0 = frozenset(
    ["39", "47", "225", "226", "227", "229", "241", "242", "247", "378", "881", "992"]
)
"""Countries with national numbers that begin with 0. Elsewhere a 0 behind the country code is the
national prefix, which carriers take off again: +44 0 90… is +44 90… to them."""

BEGIN_WITH_00 = frozenset(["992"])
"""… and the one of them with numbers that begin with 00. Elsewhere those two are how one dials
abroad: a carrier in Italy that takes 39 off what it is sent would call +44 90… for +39 00 44 90…"""

_DIGITS = re.compile(r"[0-9]+")


class Form(StrEnum):
    """In which form a number was dialled."""

    PLUS = "international, with + in front"
    INTERNATIONAL = "international, with the account's international prefix"
    NATIONAL = "national, with the account's national prefix"
    WITHOUT_PREFIX = "national, as the account's country dials without a prefix"
    AS_IT_IS = "taken as it is"
    SHORT = "a short number of the account's plan"


@dataclass(frozen=True, slots=True)
class NumberingPlan:
    """How people of an account dial.

    ``country_code``: digits of the country whose numbers may be dialled nationally, '' for none.
    ``international_prefix``: dialled before a country code, '' if there is none.
    ``national_prefix``: dialled before a national number; '' where a country has none (Spain,
    Denmark), and then every number without + or the international prefix is a national one.
    ``short_codes``: numbers without a country code, and whatever else may be dialled: ``112``,
    ``116xxx`` (x is any digit), ``*98``.
    """

    country_code: str = ""
    international_prefix: str = "00"
    national_prefix: str = ""
    short_codes: tuple[str, ...] = ()


ANY_PLAN = NumberingPlan()


def recognise(number: str, plan: NumberingPlan = ANY_PLAN) -> tuple[str, Form] | None:
    """The number as it is routed, and the form it was dialled in; None if it is none.

    What comes out is E.164 digits or a short number of the plan, nothing else; short numbers of a
    country without a national prefix get its country code, as all that is dialled there does.
    """
    if DIALLABLE.fullmatch(number) is None:
        return None
    digits, form = _expanded(number, plan)
    if form is Form.SHORT or (form in (Form.PLUS, Form.INTERNATIONAL) and is_short(digits, plan)):
        return digits, Form.SHORT
    return (digits, form) if is_e164(digits) else None


def _expanded(number: str, plan: NumberingPlan) -> tuple[str, Form]:
    # The lookup has the same choice in SQL, to find the prefixes; a test holds the two together.
    if number.startswith("+"):
        return number[1:], Form.PLUS
    is_digits = _DIGITS.fullmatch(number) is not None
    if is_short(number, plan):
        # Before any prefix: emergency calls are 000 in Australia, where 0 is the national prefix.
        goes_national = is_digits and plan.country_code and not plan.national_prefix
        return (plan.country_code + number if goes_national else number), Form.SHORT
    if not is_digits:
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


def is_e164(digits: str) -> bool:
    """Whether these digits can be a telephone number with its country code (ITU-T E.164)."""
    if _E164.fullmatch(digits) is None:
        return False
    if digits[0] in "17":
        return len(digits) == 11 and _ELEVEN.fullmatch(digits) is not None
    country = country_of(digits)
    rest = digits[len(country) :]
    if rest.startswith("00"):
        return country in BEGIN_WITH_00
    return rest[0] != "0" or country in BEGIN_WITH_0


def country_of(number: str) -> str:
    """The country code with which an E.164 number begins: ``1``, ``49``, ``353``."""
    if number[:1] in ("1", "7"):
        return number[:1]
    return number[:2] if number[:2] in TWO_DIGITS else number[:3]


def is_short(number: str, plan: NumberingPlan) -> bool:
    """Whether this is one of the plan's short numbers."""
    return bool(plan.short_codes) and _short_codes(plan.short_codes).fullmatch(number) is not None


def is_own_short(number: str, plan: NumberingPlan) -> bool:
    """Whether this is one of the plan's short numbers in the form in which it is routed."""
    if is_short(number, plan):
        return True
    # Where a country has no national prefix its short numbers get its country code.
    national = number.removeprefix(plan.country_code)
    return not plan.national_prefix and is_short(national, plan)


@lru_cache(maxsize=1024)
def _short_codes(codes: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(code).replace("x", "[0-9]") for code in codes))


def reached(sent: str, plan: NumberingPlan, callee: str) -> tuple[str, ...]:
    """The numbers that a trunk of this plan may take for what it is sent; none for an extension.

    ``callee`` is the number that was routed: a trunk that is sent it in any form reaches it. Where
    the plan does not know it, whatever a lenient switch could read in it counts: the digits with or
    without what stands before a `*#A-D`, without zeros in front, and without a 0 behind the country
    code.
    """
    known = recognise(sent, plan)
    if known is not None:
        number, form = known
        if number != callee and form is Form.AS_IT_IS:
            # A carrier that wants national numbers without a prefix would call its own country.
            return (number, plan.country_code + number) if plan.country_code else (number,)
        return (number,)
    return tuple(dict.fromkeys(_lenient(sent)))


def _lenient(sent: str) -> Iterator[str]:
    runs = _DIGITS.findall(sent)
    for digits in (*("".join(runs[first:]) for first in range(len(runs))), *runs):
        number = digits.lstrip("0")
        if len(number) < MIN_DIGITS:
            continue
        yield number
        country = country_of(number)
        rest = number[len(country) :]
        if rest.startswith("0"):
            yield country + rest.lstrip("0")


def normalise(number: str, plan: NumberingPlan = ANY_PLAN) -> str | None:
    """The number as it is routed, by `recognise`; None if it is none."""
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
