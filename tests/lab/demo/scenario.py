"""The calls of the demo, what should become of each, and the routes they need. Pure.

The German numbers are those the Bundesnetzagentur keeps for films (030 23125-xxx, 040 66969-xxx,
069 90009-xxx, 089 99998-xxx, 0221 4710-xxx), the North American one is a 555-01xx; the carrier
does what a number's last digits say (tests/lab/sipp/carrier.xml). 882 and 883 are country codes
of international networks.
"""

from dataclasses import dataclass
from typing import Any

RING_TIMEOUT_S = 6
"""How long the demo's carrier may ring."""
RING_MS = 1500
"""How long it rings before it answers."""
PREPAID_S = 5
"""The longest call of the account ``prepaid``, in seconds."""
PAUSE_S = 0.5
"""Time between the beginnings of two calls."""


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call: who dials what, how the caller behaves, and what must come of it."""

    title: str
    number: str
    heard: int
    """The final SIP code that the caller gets."""
    disposition: str
    ended_by: str
    sip_code: int | None
    """The SIP code in the call record: the carrier's, where it gave one."""
    trunk: str = ""
    """The trunk in the call record; empty where none was tried."""
    user: str = "alice"
    talk_ms: int | None = 5_000
    """From the answer until the caller hangs up; None: the caller never does."""
    cancel_after_ms: int | None = None
    """From the last provisional reply until the caller gives up; None: never."""


def _answered(title: str, number: str, trunk: str, **more: object) -> DemoCall:
    facts: dict[str, Any] = {
        "heard": 200,
        "disposition": "answered",
        "ended_by": "caller",
        "sip_code": 200,
    }
    return DemoCall(title=title, number=number, trunk=trunk, **facts | more)


CALLS = (
    _answered("tt-monkeys by SIP", "8830001", "monkeys-sip", talk_ms=9_000),
    _answered("tt-monkeys, local proxy", "8820001", "monkeys-local", talk_ms=8_000),
    DemoCall("nobody answers", "493023125180", 480, "no_answer", "switch", 480, "carrier-a"),
    _answered("the carrier answers", "496990009200", "carrier-a", talk_ms=6_000),
    DemoCall("busy", "493023125486", 486, "busy", "callee", 486, "carrier-a"),
    _answered("early media first", "496990009183", "carrier-a"),
    DemoCall(
        "gives up while it rings",
        "494066969180",
        487,
        "cancelled",
        "caller",
        487,
        "carrier-a",
        cancel_after_ms=3_000,
    ),
    _answered("the callee hangs up", "494066969299", "carrier-a", ended_by="callee", talk_ms=None),
    DemoCall("unknown number", "12125550123", 404, "no_route", "switch", None),
    _answered(
        "talks to the hard limit",
        "8830002",
        "monkeys-sip",
        user="carol",
        talk_ms=None,
        ended_by="limit",
    ),
    DemoCall("congestion", "498999998503", 503, "congestion", "callee", 503, "carrier-a"),
    DemoCall("no account", "492214710200", 403, "unauthorized", "switch", None, user="mallory"),
    DemoCall(
        "hostile number",
        "4930&Local/8820001",
        484,
        "invalid_number",
        "switch",
        None,
    ),
    DemoCall("rejected by the callee", "498999998603", 403, "rejected", "callee", 603, "carrier-a"),
)

ACCOUNTS = {"demo": ("Demo account", None), "prepaid": ("Prepaid account", PREPAID_S)}
"""Code → name and longest call in seconds (None: the default)."""

TRUNKS = {
    "carrier-a": ("PJSIP/{number}@carrier-a", RING_TIMEOUT_S),
    "monkeys-sip": ("PJSIP/{number}@monkeys", 60),
    "monkeys-local": ("Local/{number}@monkeys", 60),
}
"""Name → dial string and ring timeout in seconds."""

ROUTES = {"49": "carrier-a", "882": "monkeys-local", "883": "monkeys-sip"}
"""Prefix → trunk."""
