"""route_number and its page show the limits of a call with what is used of them now."""

from io import StringIO

import pytest
from django.core.management import call_command

from calls.models import Account, Limit, Route, RouteTarget, Trunk
from calls.routing.steps import Topic
from calls.store.counters import STATES
from calls.whatif.explanation import explain

NOW_MS = 1_763_900_000_000
LATER_MS = 9_000_000_000_000


@pytest.fixture
def counters(clean_redis, redis_url, settings):
    settings.LIMITS_REDIS_URL = redis_url
    return clean_redis


@pytest.fixture(autouse=True)
def _routed(db):
    Account.objects.create(code="demo", name="Demo")
    route = Route.objects.create(prefix="49")
    for priority, name in enumerate("ab", start=1):
        trunk = Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name, max_calls=1)
        RouteTarget.objects.create(route=route, trunk=trunk, priority=priority)


def limit(metric="concurrent", value=2, scope="account", target="demo", **fields):
    Limit.objects.create(scope=scope, target=target, metric=metric, value=value, **fields)


def use(counters, subject, calls):
    held = dict.fromkeys(map(str, range(calls)), LATER_MS)
    counters.zadd(f"ringmaster:limit:concurrent:{subject}", held)


def asked():
    return explain("+49301", account="demo", at_ms=NOW_MS)


def said(explanation):
    return {
        step.subject: (step.mark.value, step.detail)
        for step in explanation.found.steps
        if step.topic is Topic.LIMIT
    }


def test_limits_with_room_are_shown_with_their_present_counts(counters):
    limit()
    use(counters, "account:demo", 1)
    explanation = asked()

    assert explanation.routed
    assert said(explanation) == {
        "account demo: 2 concurrent": ("found", "1 of 2 used now"),
        "trunk a: 1 concurrent": ("found", "0 of 1 used now"),
        "trunk b: 1 concurrent": ("found", "0 of 1 used now"),
    }


def test_a_limit_that_is_reached_refuses_as_it_would_the_caller(counters):
    limit()
    use(counters, "account:demo", 2)
    explanation = asked()

    assert not explanation.routed
    assert explanation.verdict == (
        "Refused as limited (cause 31): the limit is reached: account demo: 2 concurrent."
    )
    assert said(explanation)["account demo: 2 concurrent"] == ("refused", "2 of 2 used now")


def test_an_observed_limit_that_is_reached_refuses_nobody(counters):
    limit(mode="observe")
    use(counters, "account:demo", 5)
    explanation = asked()

    assert explanation.routed
    assert said(explanation)["account demo: 2 concurrent"] == (
        "passed over",
        "5 of 2 used now; only observed",
    )


def test_a_full_trunk_is_passed_over_and_the_next_taken(counters):
    use(counters, "capacity:a", 1)
    explanation = asked()

    assert explanation.verdict == "49301 goes by route 49 (all) to b."
    assert said(explanation)["trunk a: 1 concurrent"] == (
        "passed over",
        "1 of 1 used now; the trunk is skipped",
    )


def test_a_trunk_that_is_down_is_passed_over_with_what_its_attempts_say(counters):
    counters.hset(STATES, "a", "down 1763900000000 9 10")
    counters.hset(STATES, "b", "degraded 1763900000000 5 10")
    explanation = asked()

    assert explanation.verdict == "49301 goes by route 49 (all) to b."
    shown = said(explanation)
    assert shown["trunk a"] == (
        "passed over",
        "down: 9 of 10 attempts failed; it gets trial calls only",
    )
    assert shown["trunk b"] == ("found", "degraded: 5 of 10 attempts failed")


def test_trunks_of_which_none_can_be_used_refuse_with_every_reason(counters):
    use(counters, "capacity:a", 1)
    counters.hset(STATES, "b", "down 1763900000000 9 10")

    assert asked().verdict == (
        "Refused as congestion (cause 34): "
        "trunk a is full (trunk a: 1 concurrent), trunk b is down."
    )


def test_a_longest_call_is_shown_with_the_limit_that_sets_it(counters):
    limit("max_duration", 60)

    assert said(asked())["account demo: 60 seconds at most"] == (
        "found",
        "ends the call after 60 s",
    )


def test_explaining_takes_no_place(counters):
    limit()
    limit("cps", 1)
    for _ in range(3):
        assert asked().routed

    assert not list(counters.scan_iter("ringmaster:limit:*"))


def test_without_the_limits_redis_the_way_is_shown_and_what_is_missing_said(settings):
    settings.LIMITS_REDIS_URL = "redis://127.0.0.1:1/0"
    limit()
    explanation = asked()

    assert explanation.routed
    assert "does not answer" in said(explanation)["counters"][1]


def test_the_command_shows_them(counters):
    limit()
    use(counters, "account:demo", 2)
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("route_number", "+49301", "--account", "demo", stdout=out)

    shown = " ".join(out.getvalue().split())
    assert end.value.code == 1
    assert "account demo: 2 concurrent" in shown
    assert "2 of 2 used now" in shown
