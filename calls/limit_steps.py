"""What limits and trunks' health would make of a call now, as steps of its explanation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import redis

from calls import causes
from calls.limit_book import read_book
from calls.limit_counts import AWAY, Usage, trunk_states, usage
from calls.limit_rules import Guarded, Health, Metric, Rule, guard
from calls.routing import Plan, Refusal
from calls.steps import Mark, Step, Topic
from calls.trunk_health import TrunkState
from cdr.record import Disposition


def with_limits(plan: Plan, at_ms: int) -> Plan | Refusal:
    """The plan, or the refusal of a limit that is reached now, with the steps that say so.

    Nothing is taken. Raises django.db.DatabaseError or InterfaceError when the database fails.
    """
    book = read_book()
    guarded = guard(plan, book, (), at_ms)
    rules = guarded.rules or ()
    trunks = [target.trunk for target in guarded.plan.targets if not target.skipped]
    automatic = [trunk for trunk in trunks if trunk not in book.overrides]
    try:
        used, states = usage(rules), trunk_states(automatic)
    except redis.RedisError:
        away = Step(Topic.LIMIT, "counters", Mark.PASSED_OVER, AWAY)
        return replace(guarded.plan, steps=(*plan.steps, away))
    return judge(guarded, used, states)


def judge(
    guarded: Guarded, used: Sequence[Usage], states: Mapping[str, TrunkState]
) -> Plan | Refusal:
    """What comes of a guarded plan when this much is used of its rules, in their order. Pure."""
    plan, rules = guarded.plan, guarded.rules or ()
    full = {
        rule
        for rule, use in zip(rules, used, strict=True)
        if rule.enforce and use.used >= rule.value
    }
    steps = (*plan.steps, *_steps(guarded, used, states))
    refusing = next((rule for rule in rules if rule in full and not rule.trunk), None)
    if refusing is not None:
        reason = f"the limit is reached: {refusing.name}"
        cause = causes.NORMAL_UNSPECIFIED
        return _refusal(plan, Disposition.LIMITED, cause, reason, steps)
    why = {name: "down" for name, state in states.items() if state.health is Health.DOWN}
    why |= {rule.trunk: "cps" if rule.metric is Metric.CPS else "full" for rule in full}
    targets = tuple(
        replace(target, skipped=target.skipped or why.get(target.trunk, ""))
        for target in plan.targets
    )
    plan = replace(plan, targets=targets, steps=steps)
    if all(target.skipped for target in targets):
        reason = ", ".join(f"trunk {target.trunk} {target.why_skipped}" for target in targets)
        return _refusal(plan, Disposition.CONGESTION, causes.CONGESTION, reason, steps)
    return plan


def _refusal(
    plan: Plan, disposition: Disposition, cause: int, reason: str, steps: tuple[Step, ...]
) -> Refusal:
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
        steps=steps,
    )


def _steps(
    guarded: Guarded, used: Sequence[Usage], states: Mapping[str, TrunkState]
) -> Iterator[Step]:
    if guarded.capped_by:
        detail = f"ends the call after {guarded.plan.max_call_s} s"
        yield Step(Topic.LIMIT, guarded.capped_by, Mark.FOUND, detail)
    for rule, use in zip(guarded.rules or (), used, strict=True):
        yield _step(rule, use)
    for name, state in states.items():
        if state.health is not Health.UP:
            down = state.health is Health.DOWN
            said = f"{state.failed} of {state.attempts} attempts failed"
            detail = f"{state.health}: {said}" + ("; it gets trial calls only" if down else "")
            mark = Mark.PASSED_OVER if down else Mark.FOUND
            yield Step(Topic.LIMIT, f"trunk {name}", mark, detail)


def _step(rule: Rule, use: Usage) -> Step:
    if rule.metric is Metric.MAX_DURATION:
        return Step(Topic.LIMIT, rule.name, Mark.PASSED_OVER, "only observed")
    shown = f"{use.used:,.1f}" if rule.metric is Metric.MINUTES else f"{use.used:,.0f}"
    detail = f"{shown} of {rule.value:,} used now"
    if use.used < rule.value:
        return Step(Topic.LIMIT, rule.name, Mark.FOUND, detail)
    if not rule.enforce:
        return Step(Topic.LIMIT, rule.name, Mark.PASSED_OVER, f"{detail}; only observed")
    if rule.trunk:
        return Step(Topic.LIMIT, rule.name, Mark.PASSED_OVER, f"{detail}; the trunk is skipped")
    return Step(Topic.LIMIT, rule.name, Mark.REFUSED, detail)
