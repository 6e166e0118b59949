"""Limits and sick trunks on a real Asterisk: what callers hear, the CDRs, and true counts."""

import pytest

from calls.limits.health import LEAST
from calls.models import Limit, Trunk
from calls.store.counters import LEASE_MS
from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for

CARRIER_A = "PJSIP/{number}@carrier-a"
CARRIER_B = "PJSIP/{number}@carrier-b"
OF_DEMO = "ringmaster:limit:concurrent:account:demo"


def limit(metric: str = "concurrent", value: int = 3, **fields: object) -> Limit:
    whose = {"scope": "account", "target": "demo"}
    return Limit.objects.create(metric=metric, value=value, **(whose | fields))


@pytest.fixture
def routed(ringmaster: Ringmaster) -> Ringmaster:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    return ringmaster


def wait_until_up(ringmaster: Ringmaster, count: int, key: str = OF_DEMO) -> None:
    wait_for(
        lambda: ringmaster.redis.zcard(key) == count,
        timeout_s=15,
        failure=lambda: f"{ringmaster.redis.zcard(key)} calls are counted, not {count}",
    )


def test_the_fourth_caller_of_three_hears_480_and_the_cdr_names_the_limit(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    limit(value=3)
    running = caller.start("49200", talk_ms=3000, count=3)
    running.wait_until_answered(3)

    fourth = caller.call("49201")

    assert fourth.finals == [480]
    assert "INVITE" not in carrier.seen("49201")
    assert running.wait().answered == 3
    cdrs = routed.wait_for_cdrs(4)
    (refused,) = [cdr for cdr in cdrs if cdr.callee_received == "49201"]
    assert (refused.disposition, refused.ended_by, refused.q850_cause) == ("limited", "limit", 31)
    assert refused.reason == "the limit is reached: account demo: 3 concurrent"
    assert routed.redis.zcard(OF_DEMO) == 0
    assert caller.call("49200").finals == [200]
    routed.wait_for_cdrs(5)
    routed.assert_nothing_left()


def test_an_end_frees_its_place_for_the_next_caller(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    limit(value=1)

    for _ in range(5):
        assert caller.call("49200", talk_ms=100).finals == [200]
        wait_until_up(routed, 0)

    assert caller.call("491486").finals == [486]
    assert caller.call("49180", cancel_after_ms=100).seen[0].cancelled
    wait_until_up(routed, 0)
    assert caller.call("49200").finals == [200]
    routed.wait_for_cdrs(8)


def test_calls_past_the_rate_are_refused(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    limit("cps", 2)

    finals = caller.call("49200", count=6, rate=60).finals

    assert sorted(map(str, finals)) == ["200"] * 2 + ["480"] * 4
    reasons = {cdr.reason for cdr in routed.wait_for_cdrs(6) if cdr.disposition == "limited"}
    assert reasons == {"the limit is reached: account demo: 2 calls a second"}


def test_an_observed_limit_refuses_nobody_and_counts_whom_it_would_have(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    limit(value=1, mode="observe")

    assert caller.call("49200", count=3, rate=50, talk_ms=800).answered == 3

    routed.wait_for_cdrs(3)
    assert routed.redis.hgetall("ringmaster:limit:would") == {b"concurrent:account:demo": b"2"}


def test_a_full_first_trunk_is_skipped_and_the_second_carries_the_call(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier, carrier_b: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A, CARRIER_B)
    first = Trunk.objects.get(name="carrier-a-49-1")
    first.max_calls = 1
    first.save()
    running = caller.start("49200", talk_ms=2000)
    running.wait_until_answered(1)

    assert caller.call("49201").finals == [200]

    assert "ANSWERED" in carrier_b.seen("49201")
    assert "INVITE" not in carrier.seen("49201")
    running.wait()
    (cdr,) = [cdr for cdr in ringmaster.wait_for_cdrs(2) if cdr.callee_received == "49201"]
    assert (cdr.disposition, cdr.trunk) == ("answered", "carrier-b-49-2")
    skipped, dialled = cdr.attempts.order_by("number")
    assert (skipped.outcome, skipped.trunk) == ("skipped_full", "carrier-a-49-1")
    assert skipped.reason == "trunk carrier-a-49-1 is full (trunk carrier-a-49-1: 1 concurrent)"
    assert dialled.outcome == "dialled"
    ringmaster.assert_nothing_left()


def test_a_caller_whose_every_trunk_is_full_hears_503(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A, max_calls=1)
    running = caller.start("49200", talk_ms=2000)
    running.wait_until_answered(1)

    assert caller.call("49201").finals == [503]

    running.wait()
    (cdr,) = [cdr for cdr in ringmaster.wait_for_cdrs(2) if cdr.callee_received == "49201"]
    assert (cdr.disposition, cdr.ended_by) == ("congestion", "switch")
    assert "is full" in cdr.reason
    assert [attempt.outcome for attempt in cdr.attempts.all()] == ["skipped_full"]


def test_minutes_that_are_used_up_refuse_and_those_left_end_the_call(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    limit("minutes", 1, window="month")
    assert caller.call("49200", talk_ms=500).finals == [200]
    (first,) = routed.wait_for_cdrs(1)
    (counter,) = routed.redis.scan_iter("ringmaster:limit:minutes:month:*")
    assert int(routed.redis.get(counter)) == first.talk_ms

    routed.redis.set(counter, 58_500)
    assert caller.call("49200", talk_ms=None).seen[0].ended_by == "callee"
    assert caller.call("49200").finals == [480]

    _, ended, refused = routed.wait_for_cdrs(3)
    assert (ended.ended_by, ended.reason) == (
        "limit",
        "the hard limit of 2 s was reached (account demo: 1 minute a month)",
    )
    assert refused.reason == "the limit is reached: account demo: 1 minute a month"


def test_a_longest_call_that_a_limit_sets_ends_the_call(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    limit("max_duration", 1, scope="prefix", target="492")

    assert caller.call("49200", talk_ms=None).seen[0].ended_by == "callee"

    assert routed.cdr().reason == (
        "the hard limit of 1 s was reached (prefix 492: 1 second at most)"
    )


def test_counts_are_true_again_after_the_worker_was_killed(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    limit(value=50)
    running = caller.start("49200", talk_ms=6000, count=20, rate=20)
    running.wait_until_answered(20)
    routed.stack.kill("calls")
    assert routed.redis.zcard(OF_DEMO) == 20
    # The leases of the dead worker lapse while nobody renews them, and its office with them.
    marks = [
        *routed.redis.scan_iter("ringmaster:limit:kept:*"),
        *routed.redis.scan_iter("ringmaster:limit:keeper:*"),
    ]
    routed.redis.delete(OF_DEMO, *marks)
    routed.restart_all()

    wait_until_up(routed, len(routed.live_calls()))
    assert running.wait(timeout_s=40).answered == 20
    routed.wait_for_cdrs(20, timeout_s=30)
    assert routed.redis.zcard(OF_DEMO) == 0
    assert LEASE_MS == 30_000


def test_a_trunk_that_keeps_failing_is_skipped_until_a_trial_call_gets_through(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier, carrier_b: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A, CARRIER_B)
    name = "carrier-a-49-1"
    numbers = [f"49{index + 10}503" for index in range(LEAST)]
    assert set(caller.call(numbers, rate=20).finals) == {503}
    wait_for(
        lambda: (ringmaster.redis.hget("ringmaster:trunk:states", name) or b"")[:4] == b"down",
        timeout_s=10,
        failure=lambda: f"{name}: {ringmaster.redis.hgetall('ringmaster:trunk:states')}",
    )
    Trunk.objects.filter(name="carrier-b-49-2").update(health_override="up")
    ringmaster.wait_for_cdrs(LEAST)
    Cdr.objects.all().delete()

    assert caller.call("49200").finals == [200]
    skipped, dialled = ringmaster.cdr().attempts.order_by("number")
    assert (skipped.trunk, skipped.outcome, skipped.reason) == (
        name,
        "skipped_down",
        f"trunk {name} is down",
    )
    assert dialled.trunk == "carrier-b-49-2"

    ringmaster.redis.delete(f"ringmaster:trunk:trial:{name}")
    assert caller.call("49299", talk_ms=None).finals == [200]
    assert "ANSWERED" in carrier.seen("49299")
    wait_for(
        lambda: not ringmaster.redis.hexists("ringmaster:trunk:states", name),
        timeout_s=10,
        failure=lambda: "the trial call brought nothing back",
    )
    log = ringmaster.stack.log("calls")
    assert f"Trunk {name} is down: " in log
    assert f"Trunk {name} is up again: a trial call got through." in log
    ringmaster.wait_for_cdrs(2)
