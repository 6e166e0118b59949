"""What may stand in a trunk, a route and an account. A dial string is a program to Asterisk:
one ``&`` too many dials a second destination at somebody's cost."""

import re
import zoneinfo

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from calls.policy import policy
from calls.routing import endpoints, rewrites, schedules
from calls.routing.endpoints import NUMBER_PLACE
from calls.routing.numbers import OWN

# Printable ASCII without what Asterisk splits a dial string or its arguments at: & , ^ | and
# without quotes, backslash, angle brackets and braces.
_SAFE = r"[A-Za-z0-9!#$%()*+./:;=?@\[\]_~-]*"
_DIAL_STRING = re.compile(rf"[A-Za-z][A-Za-z0-9]*/{_SAFE}\{{number\}}{_SAFE}")

validate_account_code = RegexValidator(
    r"\A[A-Za-z0-9._@+-]+\Z",
    "A code is made of letters, digits and . _ @ + - only, as Asterisk's accountcode.",
)
validate_prefix = RegexValidator(
    r"\A[0-9]{0,15}\Z", "A prefix is made of up to 15 digits; leave it empty for the default route."
)
validate_added_prefix = RegexValidator(
    r"\A[+0-9*#A-D]*\Z", "Only + 0-9 * # A-D can be dialled in front of a number."
)
validate_blocked_prefix = RegexValidator(
    r"\A[0-9]{1,15}\Z", "A blocked prefix is made of 1 to 15 digits."
)
validate_country_code = RegexValidator(
    r"\A[1-9][0-9]{0,3}\Z", "A country code is 1 to 4 digits without 0 in front, such as 33."
)
validate_dialled_prefix = RegexValidator(r"\A[0-9]{1,8}\Z", "Such a prefix is 1 to 8 digits.")
validate_caller_number = RegexValidator(
    r"\A\+?[0-9]{1,20}\Z", "A caller's number is up to 20 digits, with or without + in front."
)


_SHORT_CODE = re.compile(r"[0-9*#A-Dx]{1,15}")
_FIRST_DIGITS = re.compile(r"[1-9][0-9]{0,14}")


def validate_short_codes(text: str) -> None:
    """Accept short numbers parted by spaces; ``ValidationError`` for all else."""
    for code in text.split(" "):
        if text and not _SHORT_CODE.fullmatch(code):
            raise ValidationError(
                "Short numbers are made of 0-9 * # A-D and x for any digit, up to 15 of them, "
                "with one space between two numbers, as in 112 116xxx *98.",
                code="short_codes",
            )
        if set(code) == {"x"} and len(code) > 4:
            raise ValidationError(
                "So many x alone would let any number pass; begin with digits.", code="short_codes"
            )


def validate_number_list(text: str) -> None:
    """Accept the first digits of numbers, parted by spaces; ``ValidationError`` for all else."""
    for digits in text.split(" "):
        if text and not _FIRST_DIGITS.fullmatch(digits):
            raise ValidationError(
                "Write the first digits of numbers, country code first and without +, with one "
                "space between two, as in 4930 33.",
                code="number_list",
            )


def validate_allowed_prefixes(text: str) -> None:
    """Accept the same with the word ``own`` among them; ``ValidationError`` for all else."""
    validate_number_list(" ".join("1" if word == OWN else word for word in text.split(" ")))


def validate_phones(text: str) -> None:
    """Accept names of endpoints, parted by spaces; ``ValidationError`` for all else."""
    for name in text.split(" "):
        if text and not endpoints.is_phone(name):
            raise ValidationError(
                "Write names of endpoints, made of letters, digits and . _ + - only, with one "
                "space between two, as in alice bob.",
                code="phones",
            )


def validate_dial_string(text: str) -> None:
    """Accept ``Technology/resource`` with the number's place in it exactly once.

    Raises ``ValidationError`` with a sentence for everything else.
    """
    places = text.count(NUMBER_PLACE)
    if places != 1:
        raise ValidationError(
            "A dial string holds {number} exactly once, where the dialled number goes, "
            f"as in PJSIP/{{number}}@carrier-a; here it stands {places} times.",
            code="number_place",
        )
    if not _DIAL_STRING.fullmatch(text):
        raise ValidationError(
            "A dial string is Technology/resource without spaces, quotes, & , ^ | or other "
            "braces, as in PJSIP/{number}@carrier-a.",
            code="dial_string",
        )
    forbidden = endpoints.why_not(text, policy())
    if forbidden:
        raise ValidationError(f"This dial string {forbidden}.", code="forbidden")


def validate_time_zone(text: str) -> None:
    """Accept the name of a time zone of the IANA database; ``ValidationError`` for all else."""
    if text not in zoneinfo.available_timezones():
        raise ValidationError(
            "There is no such time zone; their names are like Europe/Paris, America/New_York, UTC.",
            code="time_zone",
        )


def validate_schedule(text: str) -> None:
    """Accept what calls.schedules can read; ``ValidationError`` with its sentence for all else."""
    try:
        schedules.read_schedule(text)
    except schedules.ScheduleError as error:
        raise ValidationError(str(error), code="schedule") from error


def validate_rewrite(text: str) -> None:
    """Accept what calls.rewrites can use; ``ValidationError`` with its sentence for all else."""
    try:
        rewrites.compiled(text)
    except rewrites.RewriteError as error:
        raise ValidationError(str(error), code="rewrite") from error
