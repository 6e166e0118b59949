"""Processes die in the middle of calls: every call goes on or ends cleanly, with one CDR."""

import signal
from collections.abc import Iterator

import pytest
from django.utils import timezone

from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.alone

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


@pytest.fixture
def patient_dialplan(routed: Ringmaster) -> Iterator[None]:
    """Callers are asked for again for a minute: how long a process takes to start is a matter of
    the machine, and whether nobody is refused until it has is not."""
    was = routed.asterisk.cli("dialplan show globals").partition("MOST_TRIES=")[2].split()[0]
    routed.asterisk.cli("dialplan set global MOST_TRIES 240")
    yield
    routed.asterisk.cli(f"dialplan set global MOST_TRIES {was}")


@pytest.mark.usefixtures("patient_dialplan")
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
    assert calls.answered == CALLS
    assert_one_cdr_each(routed, CALLS)


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


def test_a_listener_that_is_restarted_refuses_nobody(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    running = caller.start("49200", talk_ms=1000, count=CALLS, rate=10)
    running.wait_until_answered(2)
    routed.stack.restart("bridge")
    routed.stack.wait_one_ready("bridge", routed.asterisk)

    assert running.wait().answered == CALLS
    assert_one_cdr_each(routed, CALLS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_listener_that_stands_by_takes_over(
    routed: Ringmaster, caller: Caller, carrier: Carrier, number: int
) -> None:
    with routed.second_bridge() as second:
        wait_for(lambda: "stands by" in second.log("bridge"), timeout_s=10, failure=lambda: "")
        running = caller.start("49200", talk_ms=1000, count=CALLS, rate=20)
        running.wait_until_answered(2)
        routed.stack.kill("bridge", number)

        assert running.wait().answered == CALLS
        assert_one_cdr_each(routed, CALLS)
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


def test_a_redis_that_lost_its_data_cuts_nobody_off_and_loses_no_record(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    began = timezone.now()
    running = caller.start("49200", talk_ms=4000)
    running.wait_until_answered(1)

    routed.redis.flushall()
    routed.wait_for_log("bridge", "of which nothing was remembered are rebuilt")

    (seen,) = running.wait().seen
    assert seen.ended_by == "caller"
    carrier.wait_for("49200", "BYE-RECEIVED")
    cdr = routed.cdr(begun_since=began)
    assert (cdr.disposition, cdr.integrity, cdr.ended_by) == ("answered", "recovered", "caller")
    assert (cdr.account, cdr.trunk) == ("demo", "carrier-a-49-1")
    assert 3900 < cdr.talk_ms < 4600
    routed.assert_nothing_left()


def test_a_caller_who_waited_when_redis_lost_its_data_is_routed_anew(
    routed: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    began = timezone.now()
    running = caller.start("49180", cancel_after_ms=3000)
    carrier.wait_for("49180", "INVITE")

    routed.redis.flushall()

    assert running.wait().finals == [487]
    assert carrier.seen("49180").count("INVITE") == 2
    carrier.wait_for("49180", "CANCELLED", count=2)
    cdr = routed.cdr(begun_since=began)
    assert (cdr.disposition, cdr.integrity, cdr.attempts.count()) == ("cancelled", "recovered", 2)
    routed.assert_nothing_left()
