"""What records say and callers hear where limits or trunks' health leave no way.

A live call (calls/machine/attempts.py), its explanation and its replay (calls/whatif/) word it by
these, so that all three give the same reason for the same state of the counters.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from calls import causes
from calls.limits.rules import Metric, Rule, Skip
from calls.routing.choice import Plan, Refusal
from calls.routing.targets import Skipped
from cdr.record import Disposition


def limit_reached(name: str) -> str:
    """Why a call is refused by the limit of this name."""
    return f"the limit is reached: {name}"


def skip_of(trunk: str, why: Skipped, limit: str = "") -> Skip:
    """The trunk is skipped, by the limit of this name if by one."""
    return Skip(trunk, why, why.of(trunk) + (f" ({limit})" if limit else ""))


def skip_down(trunk: str) -> Skip:
    """The trunk is down."""
    return skip_of(trunk, Skipped.DOWN)


def skip_full(trunk: str, rule: Rule) -> Skip:
    """The trunk has no room by this rule."""
    return skip_of(trunk, Skipped.CPS if rule.metric is Metric.CPS else Skipped.FULL, rule.name)


def no_room(reasons: Iterable[str]) -> str:
    """Why a call goes nowhere of which every trunk is skipped, for these reasons."""
    return ", ".join(reasons)


def refused_by_limit(plan: Plan, rule: Rule) -> Refusal:
    """The plan's call, refused by a limit that is reached."""
    return _refused(plan, Disposition.LIMITED, causes.NORMAL_UNSPECIFIED, limit_reached(rule.name))


def skipping(plan: Plan, skips: Mapping[str, Skip]) -> Plan | Refusal:
    """The plan without the trunks that are skipped now; a refusal where none is left."""
    reasons, targets = [], []
    for target in plan.targets:
        skip = None if target.skipped else skips.get(target.trunk)
        targets.append(replace(target, skipped=skip.why) if skip else target)
        reasons.append(skip.reason if skip else target.skipped.of(target.trunk))
    plan = replace(plan, targets=tuple(targets))
    if not all(target.skipped for target in targets):
        return plan
    return _refused(plan, Disposition.CONGESTION, causes.CONGESTION, no_room(reasons))


def _refused(plan: Plan, disposition: Disposition, cause: int, reason: str) -> Refusal:
    return Refusal(
        disposition,
        cause,
        reason,
        plan.account,
        plan.callee,
        plan.caller,
        plan.prefix,
        plan.route,
        plan.targets,
        steps=plan.steps,
        canary=plan.canary,
    )
