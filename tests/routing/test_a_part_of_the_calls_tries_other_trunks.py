"""A canary: which calls try a route's new trunks, and that it is always the same ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.routing.canary import Arm, arm_of, draw
from calls.routing.choice import Plan
from calls.routing.rows import CanaryRow
from calls.routing.steps import Mark, Topic
from tests.routing.configured import account, ask, gist, route, trunk

CALLS = [f"pbx1:1763900000.{number}" for number in range(20_000)]
IDS = st.text(min_size=1, max_size=30)


def canary(share, *targets, canary_id=7):
    rows = tuple(trunk(each) if isinstance(each, str) else each for each in targets or ("new",))
    return CanaryRow(canary_id, share, rows)


def asked(call, share, *targets, **known):
    tried = canary(share, *targets)
    return ask(account(route("49", "old", canary=tried)), call=call, **known)


@pytest.mark.parametrize("share", [1, 10, 50])
def test_the_share_is_that_of_the_calls(share):
    tried = canary(share)
    new = sum(arm_of(tried, call) is Arm.NEW for call in CALLS)

    # Four standard deviations of a binomial draw.
    spread = 4 * (len(CALLS) * share / 100 * (1 - share / 100)) ** 0.5
    assert abs(new - len(CALLS) * share / 100) < spread


@given(IDS, st.integers(1, 10**9), st.lists(st.integers(0, 100), min_size=2, max_size=2))
def test_a_call_that_is_in_at_a_share_is_in_at_every_greater_one(call, number, shares):
    less, more = sorted(shares)
    if arm_of(canary(less, canary_id=number), call) is Arm.NEW:
        assert arm_of(canary(more, canary_id=number), call) is Arm.NEW


@given(IDS, st.integers(1, 10**9))
def test_none_is_in_at_nothing_and_all_are_at_everything(call, number):
    assert 0 <= draw(number, call) < 100
    assert arm_of(canary(0, canary_id=number), call) is Arm.OLD
    assert arm_of(canary(100, canary_id=number), call) is Arm.NEW


def test_two_canaries_draw_for_themselves():
    """Were they to draw alike, the same callers would try everything that is new."""
    both = sum(arm_of(canary(50), call) is arm_of(canary(50, canary_id=8), call) for call in CALLS)
    assert abs(both - len(CALLS) / 2) < 4 * (len(CALLS) / 4) ** 0.5


def test_the_draw_stays_what_it_was_from_version_to_version():
    assert [round(draw(7, call), 6) for call in CALLS[:3]] == [96.71174, 86.317599, 51.973536]


def test_a_call_goes_by_its_arms_trunks_and_says_which_arm_that_is():
    found = {asked(call, 50).canary: gist(asked(call, 50)) for call in CALLS[:40]}

    assert found == {
        "7:new": ["PJSIP/49301@new"],
        "7:old": ["PJSIP/49301@old"],
    }


def test_asked_again_it_goes_the_same_way():
    for call in CALLS[:40]:
        assert asked(call, 10) == asked(call, 10, explain=True)


def test_the_explanation_says_what_was_drawn():
    plan = asked(CALLS[2], 60, explain=True)
    (step,) = (step for step in plan.steps if step.topic is Topic.CANARY)
    assert (step.subject, step.mark) == ("canary 7", Mark.FOUND)
    assert "of 100: is among the 60 % of calls that try the new trunks" in step.detail

    (step,) = (
        step for step in asked(CALLS[0], 1, explain=True).steps if step.topic is Topic.CANARY
    )
    assert step.mark is Mark.PASSED_OVER
    assert "the old trunks, as 1 % of calls try the new ones" in step.detail


def test_a_call_that_no_new_trunk_may_take_is_the_new_arms_failure():
    refused = asked(CALLS[0], 100, trunk("new", enabled=False))

    assert gist(refused) == ("congestion", 34)
    assert refused.canary == "7:new"


def test_a_route_without_a_canary_says_nothing_of_one():
    plan = ask(account(route("49", "old")), explain=True)

    assert isinstance(plan, Plan)
    assert plan.canary == ""
    assert not any(step.topic is Topic.CANARY for step in plan.steps)
