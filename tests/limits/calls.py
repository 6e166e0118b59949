"""Calls and limits as the tests of this folder speak of them."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from calls.limits.rules import LimitRow, Metric, Rule, Scope, rule_of
from calls.machine.events import MailboxEvent
from calls.machine.session import Leg, Phase, Session
from calls.routing.choice import Target

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


class Up:
    """The calls that are up, as the mailboxes would tell a keeper."""

    def __init__(self, *calls: Session, name: str = "cell") -> None:
        self._name = name
        self.calls = {each.call_id: each for each in calls}
        self.looks: list[int] = []
        """How many sessions were read at a time."""

    async def cell(self, known: str) -> str:
        return known or self._name

    async def live(self) -> list[str]:
        return list(self.calls)

    async def peek(
        self, calls: Sequence[str]
    ) -> dict[str, tuple[Session | None, tuple[MailboxEvent, ...]]]:
        self.looks.append(len(calls))
        return {each: (self.calls[each], ()) for each in calls if each in self.calls}


def talking(number: int, *rules: Rule, trunk: str = "carrier-a", **changes: Any) -> Session:
    """A call whose callee has answered."""
    leg = Leg(1, f"1.{number}.b1", trunk, "49", "33", 30, 1, answered_ms=NOW_MS)
    session = call(number, *rules)
    facts = {"phase": Phase.TALKING, "targets": (), "legs": (leg,), "answered_ms": NOW_MS}
    return replace(session, **(facts | changes))
