"""Limits refuse past calls as they would have refused them live. Pure."""

import pytest

from calls.limits.rules import Health, LimitRow, Metric, Scope, bind
from calls.routing.choice import Plan, Refusal, Target
from calls.whatif.replay import PastCall
from calls.whatif.replay_limits import under_limits
from cdr.record import Disposition

NOON_MS = 1_760_011_200_000
"""2025-10-09 12:00 UTC."""


def call(number, at_s, lasts_s=60):
    started_ms = NOON_MS + int(at_s * 1000)
    return PastCall(
        number,
        f"pbx1:{number}",
        started_ms,
        "demo",
        "4930",
        "4420",
        started_ms + lasts_s * 1000,
        lasts_s * 1000,
    )


def plan(*trunks, account="demo"):
    targets = tuple(Target(name, f"PJSIP/4930@{name}", "4930", "4420", 60) for name in trunks)
    return Plan(account, "4930", "4420", "49", "49 (all)", 7200, targets)


def limit(scope, target, metric, value, window="", **changes):
    return LimitRow(Scope(scope), target, Metric(metric), value, window, **changes)


def outcome(decision):
    if isinstance(decision, Refusal):
        return decision.reason.removeprefix("the limit is reached: ")
    return next(target.trunk for target in decision.targets if not target.skipped)


def outcomes(calls, book, *trunks, used=None):
    decided = under_limits(calls, [plan(*trunks or "a")] * len(calls), book, used)
    return [outcome(decision) for decision in decided]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (limit("global", "", "concurrent", 2), "all calls: 2 concurrent"),
        (limit("account", "demo", "concurrent", 2), "account demo: 2 concurrent"),
        (limit("prefix", "49", "concurrent", 2), "prefix 49: 2 concurrent"),
    ],
)
def test_a_call_beyond_the_concurrent_ones_is_refused(row, name):
    calls = [call(1, 0), call(2, 10), call(3, 59), call(4, 60), call(5, 61)]
    assert outcomes(calls, bind([row])) == ["a", "a", name, "a", name]


def test_a_call_beyond_those_of_a_second_is_refused():
    row = limit("account", "demo", "cps", 2)
    calls = [call(1, 0), call(2, 0.5), call(3, 0.9), call(4, 1.0), call(5, 1.4)]
    name = "account demo: 2 calls a second"
    assert outcomes(calls, bind([row])) == ["a", "a", name, "a", name]


def test_a_call_after_the_minutes_are_used_is_refused():
    row = limit("account", "demo", "minutes", 3, "day")
    calls = [call(1, 0, 100), call(2, 10, 80), call(3, 60), call(4, 101), call(5, 86_400)]
    assert outcomes(calls, bind([row])) == ["a", "a", "a", "account demo: 3 minutes a day", "a"]


def test_minutes_used_before_the_first_call_count():
    row = limit("account", "demo", "minutes", 3, "day")
    used = {("day:2025-10-09", "account:demo"): 170_000}
    assert outcomes([call(1, 0, 10), call(2, 10)], bind([row]), used=used) == [
        "a",
        "account demo: 3 minutes a day",
    ]


def test_the_minutes_left_are_the_longest_call():
    row = limit("account", "demo", "minutes", 3, "day")
    decided = under_limits([call(1, 0, 100), call(2, 101)], [plan("a")] * 2, bind([row]))
    assert [decision.max_call_s for decision in decided] == [180, 80]


def test_the_longest_call_is_capped():
    row = limit("account", "demo", "max_duration", 60)
    (decided,) = under_limits([call(1, 0)], [plan("a")], bind([row]))
    assert decided.max_call_s == 60


@pytest.mark.parametrize("scope", ["trunk", "capacity"])
@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("concurrent", "trunk a is full (trunk a: 1 concurrent)"),
        ("cps", "trunk a has had its calls of this second (trunk a: 1 call a second)"),
    ],
)
def test_a_trunk_without_room_is_skipped(scope, metric, why):
    book = bind([limit(scope, "a", metric, 1)])
    assert outcomes([call(1, 0), call(2, 0.1)], book, "a", "b") == ["a", "b"]
    _, alone = under_limits([call(1, 0), call(2, 0.1)], [plan("a")] * 2, book)
    assert (alone.disposition, alone.reason) == (Disposition.CONGESTION, why)


def test_a_trunk_set_down_is_skipped():
    assert outcomes([call(1, 0)], bind([], {"a": Health.DOWN}), "a", "b") == ["b"]


def test_a_refused_call_takes_no_place():
    book = bind([limit("global", "", "concurrent", 1), limit("account", "demo", "cps", 1)])
    calls = [call(1, 0, 10), call(2, 9.5), call(3, 10)]
    assert outcomes(calls, book) == ["a", "all calls: 1 concurrent", "a"]


def test_a_limit_that_only_observes_refuses_nobody():
    row = limit("global", "", "concurrent", 1, enforce=False)
    assert outcomes([call(1, 0), call(2, 1)], bind([row])) == ["a", "a"]


def test_calls_are_gone_through_in_the_order_they_came_and_answered_in_their_own():
    book = bind([limit("global", "", "concurrent", 1)])
    assert outcomes([call(2, 1), call(1, 0)], book) == ["all calls: 1 concurrent", "a"]


def test_what_was_refused_before_stays_refused():
    refused = Refusal(Disposition.NO_ROUTE, 1, "no route")
    book = bind([limit("global", "", "concurrent", 1)])
    decided = under_limits([call(1, 0), call(2, 1)], [refused, plan("a")], book)
    assert [outcome(decision) for decision in decided] == ["no route", "a"]
