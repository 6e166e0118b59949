"""A trunk may be a local proxy: a Local channel whose dialplan answers or dials on."""

import pytest

from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier


@pytest.mark.parametrize("dial_string", ["Local/{number}@monkeys", "PJSIP/{number}@monkeys"])
def test_tt_monkeys_answer(ringmaster: Ringmaster, caller: Caller, dial_string: str) -> None:
    ringmaster.account()
    ringmaster.route("88", dial_string)

    calls = caller.call("88123", talk_ms=500)

    assert (calls.finals, calls.seen[0].ended_by) == ([200], "caller")
    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.ended_by) == ("answered", "caller")
    ringmaster.assert_nothing_left()


@pytest.mark.parametrize(
    ("number", "heard", "disposition"),
    [("871200", 200, "answered"), ("871486", 486, "busy"), ("871503", 503, "congestion")],
)
def test_a_local_proxy_that_dials_on_leaves_no_half_behind(
    ringmaster: Ringmaster,
    caller: Caller,
    carrier: Carrier,
    number: str,
    heard: int,
    disposition: str,
) -> None:
    ringmaster.account()
    ringmaster.route("87", "Local/{number}@onward")

    calls = caller.call(number)

    assert calls.finals == [heard]
    assert ringmaster.cdr().disposition == disposition
    ringmaster.assert_nothing_left()


def test_a_caller_who_gives_up_ends_the_inner_leg_too(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("87", "Local/{number}@onward")

    calls = caller.call("871180", cancel_after_ms=500)

    assert calls.finals == [487]
    carrier.wait_for("871180", "CANCELLED", timeout_s=3)
    assert ringmaster.cdr().disposition == "cancelled"
    ringmaster.assert_nothing_left()
