"""Two decisions about each past call become one report. Pure."""

import pytest

from calls.routing.choice import Plan, Refusal, Target
from calls.routing.targets import Skipped
from calls.whatif.replay import EXAMPLES, Effect, PastCall, compare
from cdr.record import Disposition


def call(number=1, account="demo"):
    return PastCall(number, f"pbx1:{number}", 1_000 * number, account, f"49{number}", "4420")


def target(trunk="a", **changes):
    facts = {"endpoint": f"PJSIP/49@{trunk}", "callee": "49", "caller": "44", "ring_timeout_s": 60}
    return Target(trunk=trunk, **(facts | changes))


def plan(*targets, max_call_s=7200):
    targets = tuple(target(each) if isinstance(each, str) else each for each in targets)
    return Plan("demo", "49", "44", "4", "4 (all)", max_call_s, targets)


def refusal(disposition=Disposition.NO_ROUTE, cause=1, reason="no route"):
    return Refusal(disposition, cause, reason)


SKIPPED_A = target("a", skipped=Skipped.DISABLED)


@pytest.mark.parametrize(
    ("old", "new", "group"),
    [
        (plan("a"), refusal(), (Effect.REFUSED, "a", "no route (cause 1)")),
        (refusal(), plan("a"), (Effect.ROUTED, "no route (cause 1)", "a")),
        (plan("a"), plan("b"), (Effect.MOVED, "a", "b")),
        (plan("a", "b"), plan(SKIPPED_A, "b"), (Effect.MOVED, "a", "b")),
        (plan("a", "b"), plan("b", "a"), (Effect.MOVED, "a", "b")),
        (
            plan("a"),
            plan(target(endpoint="PJSIP/0049@a", callee="0049")),
            (Effect.SENT, "a", "another dial string or number"),
        ),
        (plan("a"), plan(target(caller="1")), (Effect.SENT, "a", "another caller's number")),
        (
            plan("a"),
            plan(target(ring_timeout_s=5), max_call_s=60),
            (Effect.SENT, "a", "another ring timeout and longest call"),
        ),
        (plan("a", "b"), plan("a"), (Effect.FALLBACK, "a, then b", "a")),
        (plan("a"), plan("a", "b"), (Effect.FALLBACK, "a", "a, then b")),
        (
            refusal(),
            refusal(Disposition.BLOCKED, 21, "blocked"),
            (Effect.REASON, "no route (cause 1)", "blocked (cause 21)"),
        ),
    ],
)
def test_a_call_that_would_go_another_way_is_told(old, new, group):
    report = compare([call()], [old], [new])
    (found,) = report.groups
    assert (found.effect, found.before, found.after) == group
    assert (report.changed, report.unchanged) == (1, 0)
    assert found.examples[0].before != found.examples[0].after


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (plan("a", "b"), plan("a", "b")),
        (plan("b"), plan(SKIPPED_A, "b")),
        (refusal(reason="route 4 names no trunk"), refusal(reason="no route")),
    ],
)
def test_a_call_that_would_go_the_same_way_stays(old, new):
    report = compare([call()], [old], [new])
    assert (report.groups, report.unchanged) == ((), 1)


def test_the_gravest_comes_first_and_then_the_largest():
    before = [plan("a"), plan("a"), plan("a"), plan("a"), refusal()]
    after = [plan("c"), plan("b"), plan("b"), refusal(), plan("a")]
    report = compare([call(number) for number in range(5)], before, after)
    assert [(group.effect, group.after, group.count) for group in report.groups] == [
        (Effect.REFUSED, "no route (cause 1)", 1),
        (Effect.ROUTED, "a", 1),
        (Effect.MOVED, "b", 2),
        (Effect.MOVED, "c", 1),
    ]
    assert report.count(Effect.MOVED) == 3


def test_every_group_has_an_example_before_one_has_many():
    calls = [call(number) for number in range(200)]
    after = [plan("b")] * 190 + [plan("c")] * 9 + [refusal()]
    report = compare(calls, [plan("a")] * 200, after)
    assert [len(group.examples) for group in report.groups] == [1, 40, 9]
    assert sum(len(group.examples) for group in report.groups) == EXAMPLES
    assert sum(group.count for group in report.groups) == 200


def test_the_report_says_which_calls_it_looked_at():
    report = compare([call(7), call(3)], [plan("a")] * 2, [plan("a")] * 2)
    assert (report.calls, report.first_ms, report.last_ms) == (2, 3_000, 7_000)
    assert compare([], [], []).first_ms is None


def test_a_past_call_asks_as_it_asked_live():
    facts = call(7).facts
    assert (facts.call_id, facts.dialled, facts.caller_number) == ("pbx1:7", "497", "4420")
    assert facts.account_keys == ("demo",)
    assert call(account="").facts.account_keys == ()
