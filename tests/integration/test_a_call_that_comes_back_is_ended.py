"""A carrier that sends our own call back to us, by SIP."""

from tests.integration.conftest import Ringmaster
from tests.lab.sip import Caller, Carrier


def test_a_call_that_comes_back_is_ended_at_its_first_return(
    ringmaster: Ringmaster, caller: Caller
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@mirror")

    calls = caller.call("49200")

    assert calls.finals != [200]
    first, back = ringmaster.wait_for_cdrs(2)
    assert (back.disposition, back.q850_cause) == ("loop", 34)
    assert back.reason == (
        "the call comes back to us: it has been through 1 switch of ours (MAX_HOPS is 1)"
    )
    assert first.disposition != "answered"
    assert [attempt.outcome for attempt in first.attempts.all()] == ["dialled"]
    ringmaster.assert_nothing_left()


def test_the_next_carrier_is_tried_after_one_that_sends_the_call_back(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@mirror", "PJSIP/{number}@carrier-a")

    assert caller.call("49200").finals == [200]

    by_disposition = {cdr.disposition: cdr for cdr in ringmaster.wait_for_cdrs(2)}
    assert set(by_disposition) == {"loop", "answered"}
    assert by_disposition["answered"].trunk.startswith("carrier-a")
    ringmaster.assert_nothing_left()


def test_the_carrier_is_told_the_hop_count(ringmaster: Ringmaster, caller: Caller) -> None:
    ringmaster.account()
    ringmaster.route("49", "PJSIP/{number}@carrier-a")
    port = ringmaster.asterisk.carrier_ports["carrier-a"]
    with Carrier(port, keeps_messages=True) as keeping:
        assert caller.call("49200").finals == [200]
        (invite,) = keeping.wait_for_invites()

    assert "X-Ringmaster-Hops: 1" in invite.splitlines()
    ringmaster.cdr()
    ringmaster.assert_nothing_left()
