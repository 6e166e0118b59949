"""What limits and trunks' health would make of a call now, as steps of its explanation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import redis

from calls.limits.draining import refused_by_drain, with_drained_nodes
from calls.limits.health import TrunkState
from calls.limits.refusals import refused_by_limit, skip_down, skip_full, skipping
from calls.limits.rules import Guarded, Health, Metric, Rule, guard
from calls.routing.choice import Plan, Refusal
from calls.routing.steps import Mark, Step, Topic
from calls.store.limit_book import read_book
from calls.store.usage import AWAY, Usage, trunk_states, usage


def with_limits(plan: Plan, at_ms: int, *, lasting: bool = False) -> Plan | Refusal:
    """The plan, or the refusal of a limit that is reached now, with the steps that say so.

    ``lasting``: without the limits of calls a second, which have room again in a second.
    Nothing is taken. Raises django.db.DatabaseError or InterfaceError when the database fails.
    """
    book = read_book()
    refusal = refused_by_drain(plan, book.drained, "")
    if refusal is not None:
        return refusal
    plan = with_drained_nodes(plan, book.drained)
    guarded = guard(plan, book, (), at_ms)
    if lasting and guarded.rules is not None:
        kept = tuple(rule for rule in guarded.rules if rule.metric is not Metric.CPS)
        guarded = replace(guarded, rules=kept)
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
    plan = replace(plan, steps=(*plan.steps, *_steps(guarded, used, states)))
    nowhere = skipping(plan, {})
    if isinstance(nowhere, Refusal):
        # A call that no trunk may take asks at no counter.
        return nowhere
    full = [
        rule
        for rule, use in zip(rules, used, strict=True)
        if rule.enforce and use.used >= rule.value
    ]
    refusing = next((rule for rule in full if not rule.trunk), None)
    if refusing is not None:
        return refused_by_limit(plan, refusing)
    # As reserve.lua judges a trunk: down before full, and by the first of its rules that refuses.
    skips = {rule.trunk: skip_full(rule.trunk, rule) for rule in reversed(full) if rule.trunk}
    skips |= {
        name: skip_down(name) for name, state in states.items() if state.health is Health.DOWN
    }
    return skipping(plan, skips)


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
