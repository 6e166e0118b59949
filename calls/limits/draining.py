"""What takes no new calls, while those that are up come to their end. Pure.

A drained trunk is skipped as one that is down is, with a reason of its own (calls/limits/rules.py).
A call on a drained node, or on a drained switch, is refused with cause 42, which Asterisk tells the
caller as SIP 503: whoever sent it tries another node, and nobody takes the number for a bad one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from calls import causes
from calls.routing.choice import Plan, Refusal
from calls.routing.steps import Mark, Step, Topic
from cdr.record import Disposition

SWITCH = "the switch"


@dataclass(frozen=True, slots=True)
class Drained:
    """What is drained now. ``switch`` and the values of ``nodes`` are why, for who reads of it."""

    switch: str | None = None
    """None: it is not drained."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    trunks: frozenset[str] = frozenset()


NOTHING = Drained()


def refused_by_drain(plan: Plan, drained: Drained, node: str) -> Refusal | None:
    """The plan's call, refused because its node or the whole switch is drained; else None."""
    if drained.switch is not None:
        what, why = SWITCH, drained.switch
    elif node in drained.nodes:
        what, why = f"node {node}", drained.nodes[node]
    else:
        return None
    return Refusal(
        Disposition.CONGESTION,
        causes.SWITCH_CONGESTION,
        f"{what} is drained and takes no new calls{f' ({why})' if why else ''}",
        plan.account,
        plan.callee,
        plan.caller,
        plan.prefix,
        plan.route,
        steps=(*plan.steps, Step(Topic.DRAIN, what, Mark.REFUSED, "is drained")),
    )


def with_drained_nodes(plan: Plan, drained: Drained) -> Plan:
    """The plan with a step for each node on which its call would be refused."""
    steps = [
        Step(Topic.DRAIN, f"node {node}", Mark.PASSED_OVER, "is drained: callers hear 503 there")
        for node in sorted(drained.nodes)
    ]
    return replace(plan, steps=(*plan.steps, *steps))
