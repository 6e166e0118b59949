"""Calls and limits as the tests of this folder speak of them."""

from calls.limit_rules import LimitRow, Metric, Rule, Scope, rule_of
from calls.routing import Target
from calls.session import Leg, Phase, Session

NOW_MS = 1_763_900_000_000


def limit(metric="concurrent", value=3, target="demo", scope="account", **changes) -> LimitRow:
    return LimitRow(Scope(scope), target, Metric(metric), value, **changes)


def rule(metric="concurrent", value=3, target="demo", scope="account", **changes) -> Rule:
    return rule_of(limit(metric, value, target, scope, **changes), NOW_MS)


def target(trunk="carrier-a") -> Target:
    return Target(trunk, f"PJSIP/49@{trunk}", "49", "33", 30)


def call(number, *rules, trunks=("carrier-a",), tried=()) -> Session:
    """A call that asks for its places."""
    legs = tuple(
        Leg(index, f"1.{number}.b{index}", trunk, "49", "33", 30, 1)
        for index, trunk in enumerate(tried, start=1)
    )
    return Session(
        call_id=f"demo:1.{number}",
        phase=Phase.RESERVING,
        started_ms=NOW_MS,
        channel_name="PJSIP/alice-1",
        dialled="49",
        caller_number="33",
        caller_name="",
        account_keys=("demo",),
        wake_ms=NOW_MS,
        account="demo",
        max_call_s=3600,
        rules=rules,
        targets=tuple(map(target, trunks)),
        legs=legs,
    )
