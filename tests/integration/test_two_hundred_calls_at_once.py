"""The reference test: 200 parallel calls to numbers that answer with tt-monkeys."""

import pytest

from cdr.models import Cdr
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller
from tests.lab.waiting import wait_for

pytestmark = pytest.mark.alone

CALLS = 200


def test_two_hundred_calls_to_tt_monkeys_are_up_at_the_same_time(
    ringmaster: Ringmaster, caller: Caller
) -> None:
    ringmaster.account()
    ringmaster.route("88", "Local/{number}@monkeys")
    numbers = [f"8801{index:04}" for index in range(CALLS)]

    running = caller.start(numbers, talk_ms=15_000, rate=25)
    wait_for(
        lambda: sum(call.final == 200 for call in running.seen()) == CALLS,
        timeout_s=60,
        failure=lambda: f"answered: {sum(call.final == 200 for call in running.seen())}",
    )
    live = len(ringmaster.live_calls())
    calls = running.wait()

    assert (live, calls.answered) == (CALLS, CALLS)
    cdrs = ringmaster.wait_for_cdrs(CALLS, timeout_s=60)
    assert len({cdr.call_id for cdr in cdrs}) == len(cdrs) == CALLS
    assert {cdr.callee_received for cdr in cdrs} == set(numbers)
    assert Cdr.objects.filter(disposition="answered", integrity="complete").count() == CALLS
    ringmaster.assert_nothing_left()
