"""Which limits a call has, and what they make of its plan: pure."""

from dataclasses import replace

import pytest

from calls.limits.rules import Book, Guarded, Health, bind, guard, window_label
from calls.routing.choice import Plan
from calls.routing.targets import Skipped
from tests.limits.calls import NOW_MS, limit, target

PLAN = Plan("demo", "4930123", "33", "49", "49 (all)", 3600, (target("a"), target("b")))


def guarded(*rows, plan=PLAN, unwell=(), **overrides) -> Guarded:
    return guard(plan, bind(rows, overrides), unwell, NOW_MS)


def names(found: Guarded) -> list[str]:
    return [rule.name for rule in found.rules or ()]


def test_without_limits_a_plan_stays_as_it_is_and_nobody_is_asked():
    assert guard(PLAN, Book(), (), NOW_MS) == Guarded(PLAN, None)


@pytest.mark.parametrize(
    "row",
    [
        limit(target="other"),
        limit(scope="prefix", target="331"),
        limit(scope="prefix", target="49301234"),
        limit(scope="trunk", target="c"),
        limit(scope="capacity", target="c"),
    ],
)
def test_limits_of_others_do_not_apply(row):
    assert guarded(row).rules is None


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (limit(scope="global", target=""), "all calls: 3 concurrent"),
        (limit(), "account demo: 3 concurrent"),
        (limit("cps", 20), "account demo: 20 calls a second"),
        (limit("minutes", 1, window="day"), "account demo: 1 minute a day"),
        (limit("minutes", 90, window="month"), "account demo: 90 minutes a month"),
        (limit(scope="prefix", target="4"), "prefix 4: 3 concurrent"),
        (limit(scope="prefix", target="4930123"), "prefix 4930123: 3 concurrent"),
        (limit(scope="trunk", target="b"), "trunk b: 3 concurrent"),
        (limit("cps", 1, "a", "capacity"), "trunk a: 1 call a second"),
        (limit("max_duration", 60, enforce=False), "account demo: 60 seconds at most"),
    ],
)
def test_a_limit_that_applies_is_named_as_people_speak_of_it(row, name):
    assert names(guarded(row)) == [name]


def test_every_prefix_of_the_number_has_its_say_not_only_the_longest():
    rows = [limit(scope="prefix", target=prefix) for prefix in ("4", "49", "4930")]

    assert len(names(guarded(*rows))) == 3


def test_limits_of_a_trunk_apply_to_that_trunk_alone():
    found = guarded(limit(), limit(scope="trunk", target="a"), limit("cps", 2, "b", "capacity"))

    assert [rule.trunk for rule in found.rules] == ["", "a", "b"]


def test_what_a_trunk_holds_and_a_limit_for_it_have_counters_of_their_own():
    found = guarded(limit(scope="trunk", target="a"), limit(scope="capacity", target="a"))

    assert [rule.subject for rule in found.rules] == ["trunk:a", "capacity:a"]


def test_a_target_that_is_skipped_anyway_brings_no_limits():
    plan = replace(PLAN, targets=(replace(target("a"), skipped=Skipped.DISABLED), target("b")))

    assert guarded(limit(scope="trunk", target="a"), plan=plan).rules is None


def test_the_shortest_longest_call_caps_the_plan_and_asks_at_no_counter():
    found = guarded(
        limit("max_duration", 600, "", "global"),
        limit("max_duration", 60, "49", "prefix"),
        limit("max_duration", 7200),
    )

    assert (found.plan.max_call_s, found.rules) == (60, None)
    assert found.capped_by == "prefix 49: 60 seconds at most"


def test_a_longest_call_above_the_plans_own_changes_nothing():
    assert guarded(limit("max_duration", 7200)) == Guarded(PLAN, None)


def test_an_observed_longest_call_caps_nothing_and_is_counted():
    found = guarded(limit("max_duration", 60, enforce=False))

    assert (found.plan, found.capped_by, len(found.rules)) == (PLAN, "", 1)


def test_a_trunk_set_down_by_hand_is_skipped_without_asking():
    found = guarded(a=Health.DOWN)

    assert [each.skipped for each in found.plan.targets] == ["down", ""]
    assert found.rules is None


def test_a_trunk_believed_down_makes_a_call_without_limits_ask():
    assert guarded(unwell=("b",)).rules == ()
    assert guarded(unwell=("c",)).rules is None


def test_a_trunk_set_up_by_hand_is_not_asked_for():
    assert guarded(unwell=("b",), b=Health.UP).rules is None


@pytest.mark.parametrize(
    ("window", "zone", "label"),
    [
        ("day", "UTC", "day:2025-11-30"),
        ("day", "Asia/Tokyo", "day:2025-12-01"),
        ("month", "UTC", "month:2025-11"),
        ("month", "Asia/Tokyo", "month:2025-12"),
        ("month", "America/New_York", "month:2025-11"),
        ("", "UTC", ""),
    ],
)
def test_a_window_begins_at_midnight_where_the_account_lives(window, zone, label):
    just_before_midnight_utc = 1_764_547_199_000

    assert window_label(window, zone, just_before_midnight_utc) == label


def test_each_rule_is_counted_under_a_name_that_outlives_its_window():
    (rule,) = guarded(limit("minutes", 5, window="day")).rules

    assert rule.stat == "minutes:day:account:demo"
    assert rule.window == "day:2025-11-23"
