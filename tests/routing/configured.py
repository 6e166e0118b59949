"""Rows as the directory finds them, with what a test does not name filled in."""

from dataclasses import replace
from datetime import UTC, datetime

from calls.routing.choice import (
    AccountRow,
    BlockRow,
    CallFacts,
    Plan,
    Refusal,
    RouteRow,
    TargetRow,
    Unproven,
    choose,
)
from calls.routing.policy import Policy


def at(text):
    """Milliseconds since the epoch of a time in UTC: ``2026-11-23 08:00`` (a Monday)."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


MONDAY_NOON = at("2026-11-23 12:00")


def trunk(name="a", **changes):
    facts = {
        "dial_string": "PJSIP/{number}@" + name,
        "enabled": True,
        "ring_timeout_s": 60,
        "strip_digits": 0,
        "add_prefix": "",
        "caller_id": "",
        "priority": 1,
        "weight": 100,
    }
    return TargetRow(trunk=name, **(facts | changes))


def route(prefix, *targets, own=False, block=False, **changes):
    rows = tuple(trunk(each) if isinstance(each, str) else each for each in targets)
    return RouteRow(1, prefix, own, block, rows, **changes)


def blocked(prefix, side="callee", *, own=False, enabled=True, note=""):
    return BlockRow(1, side, prefix, own, enabled, note)


def account(*routes, code="acme", enabled=True, max_call_s=None, **changes):
    return AccountRow(code, enabled, max_call_s, routes, **changes)


POLICY = Policy(local_contexts=frozenset({"monkeys"}))


def ask(
    *accounts,
    dialled="49301",
    caller="442079",
    at_ms=MONDAY_NOON,
    call="n:1",
    explain=False,
    hops=0,
    elsewhere=None,
    **known,
):
    """Decide a call. ``elsewhere``: rows by number, for what is sent in place of the one dialled;
    where it names none, an account has neither routes nor blocklist entries there."""
    facts = CallFacts(call, dialled, caller, ("acme",), at_ms, hops)
    known = {"policy": POLICY, "explain": explain} | known
    found = choose(facts, accounts, 7200, **known)
    while isinstance(found, Unproven):
        bare = tuple(replace(each, routes=(), blocks=()) for each in accounts)
        others = {number: (elsewhere or {}).get(number, bare) for number in found.numbers}
        known["others"] = known.get("others", {}) | others
        found = choose(facts, accounts, 7200, **known)
    return found


def gist(found: Plan | Refusal):
    """A plan as its endpoints, a refusal as its disposition and cause."""
    if isinstance(found, Plan):
        return [target.endpoint for target in found.targets if not target.skipped]
    return (str(found.disposition), found.cause)
