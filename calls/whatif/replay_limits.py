"""Past calls against limits: who would have found which counter full. Pure.

The calls are gone through in the order in which they came; each takes its places, keeps them until
the call ended, and gives its minutes in at the end, as calls/store/lua/reserve.lua counts live
ones. Counters are empty at the first call but for ``used``; limits that only observe refuse nobody.
"""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from calls.limits.refusals import refused_by_limit, skip_full, skipping
from calls.limits.rules import Book, Metric, Rule, Skip, guard
from calls.routing.choice import Plan, Refusal, Target
from calls.whatif.replay import Decision, PastCall

Used = Mapping[tuple[str, str], int]
"""Milliseconds of talk by window and subject, as `calls.limits.rules.Rule` names them."""


def under_limits(
    calls: Sequence[PastCall], decisions: Iterable[Decision], book: Book, used: Used | None = None
) -> list[Decision]:
    """The decisions as the limits in the book leave them, in the same order.

    ``used`` is the talk in the windows of minutes before the first call.
    """
    decided = list(decisions)
    counters = _Counters(used or {})
    order = sorted(range(len(calls)), key=lambda index: (calls[index].started_ms, index))
    for index in order:
        decision = decided[index]
        if isinstance(decision, Plan):
            decided[index] = _limited(calls[index], decision, book, counters)
    return decided


class _Counters:
    """What is up, what came in the last second, and what was talked, at one time."""

    def __init__(self, used: Used) -> None:
        self._up: defaultdict[str, list[int]] = defaultdict(list)
        self._came: defaultdict[str, deque[int]] = defaultdict(deque)
        self._talked = defaultdict(int, used)
        self._ending: list[tuple[int, int, tuple[str, str]]] = []

    def advance(self, now_ms: int) -> None:
        """Add the talk of calls that have ended by now."""
        while self._ending and self._ending[0][0] <= now_ms:
            _, talk_ms, key = heapq.heappop(self._ending)
            self._talked[key] += talk_ms

    def first_over(self, rules: Iterable[Rule], now_ms: int) -> Rule | None:
        """The first rule that refuses."""
        return next((rule for rule in rules if rule.enforce and self._over(rule, now_ms)), None)

    def _over(self, rule: Rule, now_ms: int) -> bool:
        if rule.metric is Metric.CONCURRENT:
            up = self._up[rule.subject]
            while up and up[0] <= now_ms:
                heapq.heappop(up)
            return len(up) >= rule.value
        if rule.metric is Metric.CPS:
            came = self._came[rule.subject]
            return len(came) >= rule.value and now_ms - came[-rule.value] < 1_000
        if rule.metric is Metric.MINUTES:
            return self._talked[rule.window, rule.subject] >= rule.value * 60_000
        return False

    def take(self, rules: Iterable[Rule], call: PastCall) -> None:
        """Count the call in."""
        for rule in rules:
            if rule.metric is Metric.CONCURRENT:
                heapq.heappush(self._up[rule.subject], call.ended_ms)
            elif rule.metric is Metric.CPS:
                came = self._came[rule.subject]
                came.append(call.started_ms)
                while len(came) > rule.value:
                    came.popleft()
            elif rule.metric is Metric.MINUTES:
                key = rule.window, rule.subject
                heapq.heappush(self._ending, (call.ended_ms, call.talk_ms, key))

    def left_s(self, rules: Iterable[Rule]) -> int | None:
        """Seconds of talk that the minutes leave; None where nothing limits them."""
        left = [
            rule.value * 60_000 - self._talked[rule.window, rule.subject]
            for rule in rules
            if rule.metric is Metric.MINUTES and rule.enforce
        ]
        return max(1, math.floor(min(left) / 1000)) if left else None


def _limited(call: PastCall, plan: Plan, book: Book, counters: _Counters) -> Decision:
    now_ms = call.started_ms
    counters.advance(now_ms)
    guarded = guard(plan, book, (), now_ms)
    plan = guarded.plan
    rules = guarded.rules or ()
    nowhere = skipping(plan, {})
    if isinstance(nowhere, Refusal):
        # A call that no trunk may take asks at no counter.
        return nowhere
    of_call = [rule for rule in rules if not rule.trunk]
    over = counters.first_over(of_call, now_ms)
    if over is not None:
        return refused_by_limit(plan, over)
    taken, skips = _first_with_room(plan.targets, rules, counters, now_ms)
    found = skipping(plan, skips)
    if isinstance(found, Refusal):
        return found
    counters.take([rule for rule in rules if rule.trunk in ("", taken)], call)
    left_s = counters.left_s(of_call)
    longest = plan.max_call_s if left_s is None else min(plan.max_call_s, left_s)
    return replace(found, max_call_s=longest)


def _first_with_room(
    targets: Sequence[Target], rules: Sequence[Rule], counters: _Counters, now_ms: int
) -> tuple[str, dict[str, Skip]]:
    """The trunk that is taken, '' where none is, and those before it that are full."""
    skips: dict[str, Skip] = {}
    for target in targets:
        if target.skipped:
            continue
        over = counters.first_over((r for r in rules if r.trunk == target.trunk), now_ms)
        if over is None:
            return target.trunk, skips
        skips[target.trunk] = skip_full(target.trunk, over)
    return "", skips
