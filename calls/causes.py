"""What the end of an attempt means: one table from SIP codes and Q.850 causes to a verdict.

SIP code and cause correspond by RFC 3398 section 8.2.6; chan_pjsip folds several SIP codes into
one cause (401, 403, 407 and 603 all become 21), so the SIP code is asked first where there is one
and the cause only where there is none, as on Local channels. What counts in NER is ITU-T E.425.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from cdr.record import Disposition

# Q.850 causes that Ringmaster itself gives (ITU-T Q.850 table 1).
UNALLOCATED = 1
NORMAL_CLEARING = 16
USER_BUSY = 17
NO_ANSWER = 19
REJECTED = 21
INVALID_NUMBER = 28
NORMAL_UNSPECIFIED = 31
CONGESTION = 34
TEMPORARY_FAILURE = 41
SWITCH_CONGESTION = 42


class Hunt(StrEnum):
    """Whether the next target may be tried after an attempt ended so."""

    NEXT = "next"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt's end means.

    ``caller_cause`` is the Q.850 cause with which A is hung up; chan_pjsip turns it into the SIP
    code that the caller hears. ``effective`` says whether the attempt counts as reached in NER.
    """

    disposition: Disposition
    hunt: Hunt
    caller_cause: int
    effective: bool


def _verdict(
    disposition: Disposition, hunt: Hunt, caller_cause: int, effective: bool = False
) -> Verdict:
    return Verdict(disposition, hunt, caller_cause, effective)


_BUSY = _verdict(Disposition.BUSY, Hunt.STOP, USER_BUSY, effective=True)
_NO_ANSWER = _verdict(Disposition.NO_ANSWER, Hunt.STOP, NO_ANSWER, effective=True)
_UNREACHABLE = _verdict(Disposition.NO_ANSWER, Hunt.STOP, NO_ANSWER)
_REFUSED_BY_TRUNK = _verdict(Disposition.REJECTED, Hunt.NEXT, REJECTED)
_DECLINED = _verdict(Disposition.REJECTED, Hunt.STOP, REJECTED, effective=True)
_REJECTED = _verdict(Disposition.REJECTED, Hunt.STOP, REJECTED)
_UNALLOCATED = _verdict(Disposition.UNALLOCATED, Hunt.NEXT, UNALLOCATED)
_GONE = _verdict(Disposition.INVALID_NUMBER, Hunt.STOP, 22)
_INVALID = _verdict(Disposition.INVALID_NUMBER, Hunt.STOP, INVALID_NUMBER)
_LOOP = _verdict(Disposition.LOOP, Hunt.STOP, NO_ANSWER)
_TRUNK_AUTH = _verdict(Disposition.TRUNK_AUTH, Hunt.NEXT, REJECTED)
_MEDIA = _verdict(Disposition.MEDIA, Hunt.STOP, 58)
_TIMEOUT = _verdict(Disposition.TIMEOUT, Hunt.NEXT, 18)
_CONGESTION = _verdict(Disposition.CONGESTION, Hunt.NEXT, CONGESTION)
_OUT_OF_ORDER = _verdict(Disposition.CONGESTION, Hunt.NEXT, 27)
_SERVER_ERROR = _verdict(Disposition.CONGESTION, Hunt.NEXT, 38)

BY_SIP = MappingProxyType(
    {
        401: _TRUNK_AUTH,
        403: _REFUSED_BY_TRUNK,
        404: _UNALLOCATED,
        407: _TRUNK_AUTH,
        408: _TIMEOUT,
        410: _GONE,
        415: _MEDIA,
        # Of SIP's extensions, not of the number: the cause that Asterisk makes of it says 404.
        420: _CONGESTION,
        480: _UNREACHABLE,
        482: _LOOP,
        483: _LOOP,
        484: _INVALID,
        486: _BUSY,
        488: _MEDIA,
        500: _SERVER_ERROR,
        501: _CONGESTION,
        502: _OUT_OF_ORDER,
        503: _CONGESTION,
        504: _CONGESTION,
        600: _BUSY,
        603: _DECLINED,
        604: _INVALID,
        606: _MEDIA,
        607: _DECLINED,
        608: _DECLINED,
    }
)

BY_CAUSE = MappingProxyType(
    {
        1: _UNALLOCATED,
        2: _UNALLOCATED,
        3: _UNALLOCATED,
        17: _BUSY,
        18: _UNREACHABLE,
        19: _UNREACHABLE,
        20: _UNREACHABLE,
        21: _REJECTED,
        22: _GONE,
        25: _LOOP,
        26: _UNALLOCATED,
        27: _OUT_OF_ORDER,
        28: _INVALID,
        34: _CONGESTION,
        38: _SERVER_ERROR,
        41: _CONGESTION,
        42: _CONGESTION,
        47: _CONGESTION,
        58: _MEDIA,
        65: _MEDIA,
        88: _MEDIA,
        102: _TIMEOUT,
    }
)


HEARD = MappingProxyType(
    {
        **dict.fromkeys((1, 2, 3), 404),
        17: 486,
        18: 408,
        **dict.fromkeys((19, 20, 31), 480),
        21: 403,
        22: 410,
        27: 502,
        28: 484,
        29: 501,
        **dict.fromkeys((34, 42, 66), 503),
        **dict.fromkeys((38, 127), 500),
        58: 488,
    }
)
"""The SIP code that chan_pjsip gives a caller who is hung up with a Q.850 cause."""


def heard(cause: int) -> int:
    """What a caller who was not answered hears when hung up with this cause: 603 by default."""
    return HEARD.get(cause, 603)


def verdict(cause: int | None, sip_code: int | None, rang: bool) -> Verdict:
    """What it means that B ended unanswered with this Q.850 cause and SIP code.

    ``rang`` says whether B rang or gave early media; what rang is never hunted on from, because
    the callee would ring twice, and an unanswered ring was a reached callee. A ring whose end was
    missed (neither code nor cause) is an unanswered one.
    """
    found = _lookup(cause, sip_code) if cause or sip_code or not rang else _NO_ANSWER
    if not rang:
        return found
    if found.disposition in (Disposition.NO_ANSWER, Disposition.TIMEOUT) or sip_code == 487:
        return _NO_ANSWER
    return Verdict(found.disposition, Hunt.STOP, found.caller_cause, found.effective)


def _lookup(cause: int | None, sip_code: int | None) -> Verdict:
    if sip_code is not None and sip_code in BY_SIP:
        return BY_SIP[sip_code]
    if sip_code is not None and sip_code >= 600:
        return _REJECTED
    if sip_code is not None and (sip_code >= 500 or 300 <= sip_code < 400):
        # A redirect is not followed (who may be called is decided here alone), nor passed on.
        return _CONGESTION
    return BY_CAUSE.get(cause or 0, _CONGESTION)
