"""What Asterisk knows of a call's SIP and sound is in its record."""

import pytest

from calls import causes
from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier
from tests.lab.waiting import wait_for

CARRIER_A = "PJSIP/{number}@carrier-a"


def test_both_legs_have_their_sip_call_id(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)

    caller.call("49200")

    cdr = ringmaster.cdr()
    assert cdr.sip_call_id.endswith("@127.0.0.1"), "as SIPp names its calls"
    of_b = cdr.attempts.get().sip_call_id
    assert of_b not in ("", cdr.sip_call_id)


@pytest.mark.parametrize("cause", sorted({*causes.HEARD, 16, 25, 41, 65, 88, 102}))
def test_what_a_caller_hears_for_a_cause(
    ringmaster: Ringmaster, caller: Caller, cause: int
) -> None:
    """The table in calls/causes.py against a real chan_pjsip."""
    ringmaster.stack.kill("calls")
    running = caller.start("49200", talk_ms=None)
    wait_for(lambda: ringmaster.live_calls(), timeout_s=10, failure=lambda: "no call came")
    channel = ringmaster.live_calls()[0].decode().partition(":")[2]

    ringmaster.asterisk.rest("DELETE", f"channels/{channel}", reason_code=cause)

    assert running.wait().finals == [causes.heard(cause)]
    ringmaster.restart_all()
    ringmaster.cdr()
