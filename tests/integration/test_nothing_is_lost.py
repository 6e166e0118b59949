"""Processes die in the middle of calls: every call goes on or ends cleanly, with one CDR."""

import pytest

from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier

CALLS = 20


@pytest.fixture
def routed(ringmaster: Ringmaster) -> Ringmaster:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    return ringmaster


def assert_one_cdr_each(ringmaster: Ringmaster, count: int) -> None:
    cdrs = ringmaster.wait_for_cdrs(count, timeout_s=30)
    assert len(cdrs) == len({cdr.call_id for cdr in cdrs}) == count
    ringmaster.assert_nothing_left()


@pytest.mark.parametrize("process", ["calls", "bridge", "records"])
def test_a_process_killed_in_the_middle_of_twenty_calls(
    routed: Ringmaster, caller: Caller, carrier: Carrier, process: str
) -> None:
    running = caller.start("49200", talk_ms=3000, count=CALLS, rate=10)
    running.wait_until_answered(CALLS // 2)

    routed.stack.kill(process)
    routed.stack.restart(process)
    routed.stack.wait_one_ready(process, routed.asterisk)

    calls = running.wait(timeout_s=40)
    assert len(calls.seen) == CALLS
    assert calls.finals.count(200) >= CALLS // 2
    assert_one_cdr_each(routed, CALLS if process != "bridge" else calls.answered)


def test_every_process_killed_in_the_middle_of_twenty_calls(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    running = caller.start("49200", talk_ms=2500, count=CALLS, rate=20)
    running.wait_until_answered(CALLS)

    for name in routed.stack.names:
        routed.stack.kill(name)
    routed.asterisk.wait_until_callers_left()
    routed.restart_all()

    assert running.wait(timeout_s=40).answered == CALLS
    assert_one_cdr_each(routed, CALLS)
    (*_, last) = routed.wait_for_cdrs(CALLS)
    assert (last.disposition, last.integrity, last.ended_by) == ("answered", "recovered", "unknown")


def test_a_listener_that_was_away_finds_what_it_missed(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    running = caller.start("49200", talk_ms=1500)
    running.wait_until_answered(1)
    routed.stack.kill("bridge")
    running.wait()
    carrier_still_talks = carrier.seen("49200")
    routed.restart_all()

    carrier.wait_for("49200", "BYE-RECEIVED")

    assert "BYE-RECEIVED" not in carrier_still_talks
    cdr = routed.cdr()
    assert (cdr.disposition, cdr.integrity) == ("answered", "recovered")
    routed.assert_nothing_left()


def test_a_second_listener_takes_over_and_the_first_ends(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    with routed.second_bridge() as second:
        second.wait_ready(routed.asterisk)
        routed.wait_until_ended("bridge")

        assert "Another listener took over" in routed.stack.log("bridge")
        assert caller.call("49200").finals == [200]
        assert_one_cdr_each(routed, 1)
    routed.restart_all()


def test_a_channel_that_enters_stasis_again_after_its_end_starts_nothing(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    """The dialplan of `looper` sends the hung-up channel's h extension into Stasis too."""
    calls = caller.call("49200", as_user="looper", talk_ms=300)

    assert calls.finals == [200]
    assert_one_cdr_each(routed, 1)
    assert carrier.seen("49200").count("INVITE") == 1


def test_a_channel_that_enters_stasis_again_in_its_call_starts_no_second_one(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    running = caller.start("49200", talk_ms=1500)
    running.wait_until_answered(1)
    (call,) = routed.live_calls()
    a_channel = call.decode().partition(":")[2]

    status, _ = routed.asterisk.rest("POST", f"channels/{a_channel}/move", app="ringmaster")
    running.wait()

    assert status == 204
    assert_one_cdr_each(routed, 1)
    assert carrier.seen("49200").count("INVITE") == 1


def test_a_redis_that_lost_its_data_cuts_nobody_off(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    running = caller.start("49200", talk_ms=4000)
    running.wait_until_answered(1)

    routed.redis.flushall()
    routed.stack.restart("bridge")
    routed.wait_for_log("bridge", "of which Redis (REDIS_URL) knows nothing")

    assert running.wait().seen[0].ended_by == "caller"
    routed.stack.restart("bridge")
    carrier.wait_for("49200", "BYE-RECEIVED")
    routed.assert_nothing_left()
