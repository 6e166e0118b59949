"""What a call leaves of itself in Asterisk, to be rebuilt from where Redis has forgotten it. Pure.

The text goes along with the creates of a call and costs no request of its own: B carries it as the
channel variable `VARIABLE`, with the attempt it was created for, and the bridge as its name, from
the first attempt on. The phone that an ordered call rings carries it as `ORDER_VARIABLE`, behind
the name of our application: Asterisk's listing does not tell whose a channel is that has not been
answered. It is read only when a call is rebuilt (calls/machine/rebuilding.py).

A JSON array, so nothing in a number or a name can break it, and it can be read on Asterisk's own
console. Its first field is the version, `ORDERED_VERSION` where the order stands at its end,
`UP_VERSION` of a caller whom the dialplan had answered; a text of another version, or none of ours,
is no digest.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from calls import ids
from calls.limits.rules import Metric, Rule
from calls.machine.session import Leg, Order, Session
from cdr.record import Outcome

VARIABLE = "RINGMASTER_CALL"
ORDER_VARIABLE = "RINGMASTER_ORDER"
VERSION = 1
ORDERED_VERSION = 2
UP_VERSION = 3
"""As the first, of a caller who was up before anybody was called: being up tells nothing of B."""
LONGEST = 4_000
"""Bytes. A variable of 8,000 came back whole from Asterisk 22.10.1. What is longer, by names full
of control characters, is cut where it does not matter for the bill."""
_CUT = 16


@dataclass(frozen=True, slots=True)
class Digest:
    """What is known of a call from Asterisk. The fields are the session's."""

    started_ms: int
    dialled: str
    caller_number: str
    caller_name: str
    account_keys: tuple[str, ...]
    account: str
    callee: str
    caller: str
    prefix: str
    route: str
    a_sip_call_id: str
    max_call_s: int
    capped_by: str
    rules: tuple[Rule, ...] | None
    legs: tuple[Leg, ...]
    order: Order | None


def was_up(text: str) -> bool:
    """Whether the caller was up when the digest was left, before B could have answered."""
    return text.startswith((f"[{UP_VERSION},", f"[{ORDERED_VERSION},"))


def encode(session: Session) -> str:
    """The digest of a call as it is when its last attempt begins."""
    text = _encode(session, 256)
    return text if len(text.encode()) <= LONGEST else _encode(session, _CUT)


def _encode(session: Session, longest: int) -> str:
    order = session.order
    plain_order = [] if order is None else [_plain_order(order, longest)]
    return orjson.dumps(
        [
            _version(session),
            session.started_ms,
            session.dialled[:longest],
            session.caller_number[:longest],
            session.caller_name[:longest],
            session.account_keys,
            session.account,
            session.callee,
            session.caller[:longest],
            session.prefix,
            session.route,
            session.a_sip_call_id[:256],
            session.max_call_s,
            session.capped_by,
            None if session.rules is None else [_plain_rule(rule) for rule in session.rules],
            [_plain_leg(leg, longest) for leg in session.legs],
            *plain_order,
        ]
    ).decode()


def decode(text: str, a_channel: str) -> Digest | None:
    """The digest that `encode` wrote for the call of this A channel; None when it is none."""
    try:
        version, *plain = orjson.loads(text)
        if version not in (VERSION, ORDERED_VERSION, UP_VERSION):
            return None
        order = _order(*plain.pop()) if version == ORDERED_VERSION else None
        started_ms, *texts, max_call_s, capped_by, rules, legs = plain
        dialled, caller_number, caller_name, account_keys, *routed = texts
        account, callee, caller, prefix, route, a_sip_call_id = map(_text, routed)
        return Digest(
            started_ms=_whole(started_ms),
            dialled=_text(dialled),
            caller_number=_text(caller_number),
            caller_name=_text(caller_name),
            account_keys=tuple(map(_text, account_keys)),
            account=account,
            callee=callee,
            caller=caller,
            prefix=prefix,
            route=route,
            a_sip_call_id=a_sip_call_id,
            max_call_s=_whole(max_call_s),
            capped_by=_text(capped_by),
            rules=None if rules is None else tuple(_rule(*each) for each in rules),
            legs=tuple(_leg(a_channel, number, *each) for number, each in enumerate(legs, 1)),
            order=order,
        )
    except (ValueError, TypeError, IndexError):
        return None


def _version(session: Session) -> int:
    if session.order is not None:
        return ORDERED_VERSION
    return UP_VERSION if session.a_up else VERSION


def _plain_order(order: Order, longest: int) -> list[Any]:
    return [order.by[:longest], order.phone, order.trunk, order.ring_timeout_s]


def _order(by: str, phone: str, trunk: str, ring_timeout_s: int) -> Order:
    return Order(_text(by), _text(phone), _text(trunk), _whole(ring_timeout_s))


def _plain_rule(rule: Rule) -> list[Any]:
    return [getattr(rule, name) for name in Rule.__slots__]


def _rule(metric: str, subject: str, value: int, enforce: bool, *rest: Any) -> Rule:
    name, trunk, window, warn_percent = rest
    return Rule(
        metric=Metric(metric),
        subject=_text(subject),
        value=_whole(value),
        enforce=bool(enforce),
        name=_text(name),
        trunk=_text(trunk),
        window=_text(window),
        warn_percent=_whole(warn_percent),
    )


def _plain_leg(leg: Leg, longest: int) -> list[Any]:
    return [
        leg.trunk,
        leg.callee,
        leg.caller,
        leg.ring_timeout_s,
        leg.started_ms,
        leg.ended_ms,
        leg.outcome,
        leg.cause,
        leg.sip_code,
        leg.reason[:longest],
    ]


def _leg(a_channel: str, number: int, *plain: Any) -> Leg:
    trunk, callee, caller, ring_timeout_s, started_ms, ended_ms, outcome, *why = plain
    cause, sip_code, reason = why
    made = not _text(outcome).startswith("skipped_")
    return Leg(
        number=number,
        channel_id=ids.b_channel(a_channel, number) if made else "",
        trunk=_text(trunk),
        callee=_text(callee),
        caller=_text(caller),
        ring_timeout_s=_whole(ring_timeout_s),
        started_ms=_whole(started_ms),
        ended_ms=None if ended_ms is None else _whole(ended_ms),
        outcome=Outcome(outcome),
        created=made,
        cause=None if cause is None else _whole(cause),
        sip_code=None if sip_code is None else _whole(sip_code),
        reason=_text(reason),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("no whole number")
    return value
