"""What is drained takes no new calls, and says so in its own words: pure."""

import pytest

from calls.engine.draining import Draining, Kind
from calls.limits.draining import Drained, refused_by_drain, with_drained_nodes
from calls.limits.refusals import skipping
from calls.limits.rules import Health, bind, guard
from calls.routing.choice import Plan, Refusal
from calls.routing.steps import Mark, Topic
from calls.routing.targets import Skipped
from cdr.moments import moment_of
from cdr.record import Disposition, Outcome
from tests.limits.calls import NOW_MS, target

PLAN = Plan("demo", "4930123", "33", "49", "49 (all)", 3600, (target("a"), target("b")))


def skipped(drained, plan=PLAN, **overrides):
    guarded = guard(plan, bind([], overrides, drained), (), NOW_MS)
    return [each.skipped for each in guarded.plan.targets]


def test_a_drained_trunk_is_skipped_with_a_reason_of_its_own():
    assert skipped(Drained(trunks=frozenset("a"))) == [Skipped.DRAINED, Skipped.NO]
    assert Skipped.DRAINED.of("a") == "trunk a is drained"
    assert Outcome(f"skipped_{Skipped.DRAINED}") is Outcome.SKIPPED_DRAINED


def test_a_trunk_that_is_down_by_hand_is_said_to_be_down():
    drained = Drained(trunks=frozenset("ab"))
    assert skipped(drained, a=Health.DOWN) == [Skipped.DOWN, Skipped.DRAINED]


def test_a_call_whose_trunks_are_all_drained_hears_503():
    drained = Drained(trunks=frozenset("ab"))
    refusal = skipping(guard(PLAN, bind([], {}, drained), (), NOW_MS).plan, {})
    assert isinstance(refusal, Refusal)
    assert (refusal.disposition, refusal.cause) == (Disposition.CONGESTION, 34)
    assert refusal.reason == "trunk a is drained, trunk b is drained"


@pytest.mark.parametrize(
    ("drained", "reason"),
    [
        (
            Drained(nodes={"pbx1": "new kernel"}),
            "node pbx1 is drained and takes no new calls (new kernel)",
        ),
        (Drained(switch=""), "the switch is drained and takes no new calls"),
        (
            Drained(switch="move", nodes={"pbx1": ""}),
            "the switch is drained and takes no new calls (move)",
        ),
    ],
)
def test_a_new_call_on_what_is_drained_is_refused_so_that_another_node_is_tried(drained, reason):
    refusal = refused_by_drain(PLAN, drained, "pbx1")
    assert refusal is not None
    assert (refusal.disposition, refusal.cause) == (Disposition.CONGESTION, 42)
    assert refusal.reason == reason
    assert refusal.account == "demo"
    assert (refusal.steps[-1].topic, refusal.steps[-1].mark) == (Topic.DRAIN, Mark.REFUSED)


def test_calls_on_other_nodes_go_on():
    drained = Drained(nodes={"pbx1": ""}, trunks=frozenset("a"))
    assert refused_by_drain(PLAN, drained, "pbx2") is None
    (step,) = with_drained_nodes(PLAN, drained).steps
    assert (step.subject, step.mark) == ("node pbx1", Mark.PASSED_OVER)


@pytest.mark.parametrize(
    ("draining", "words"),
    [
        (
            Draining(Kind.NODE, "pbx1", "alice", "new kernel", moment_of(0), 1),
            "node pbx1 has been drained by alice since 1970-01-01 00:00 UTC (new kernel): "
            "1 call left.",
        ),
        (
            Draining(Kind.SWITCH, "", "", "", moment_of(0), 0),
            "the switch has been drained since 1970-01-01 00:00 UTC: empty.",
        ),
        (
            Draining(Kind.WORKER, "host:7", "bob", "", moment_of(0), 1_200),
            "worker host:7 has been drained by bob since 1970-01-01 00:00 UTC: 1,200 turns left.",
        ),
    ],
)
def test_what_is_left_is_said_in_a_sentence(draining, words):
    assert draining.words == words
