"""A carrier as attacker: the calls that it sends to us, and our own that it sends back."""

from collections.abc import Iterator

import pytest

from calls.models import Limit
from tests.integration.conftest import Ringmaster
from tests.integration.hostile_phone import HOPS, MARK, PLANTED, HostilePhone
from tests.lab.asterisk import Asterisk
from tests.lab.sip import Caller, Carrier

CARRIER_A = "PJSIP/{number}@carrier-a"
PEER, BARE_PEER = "127.0.0.8", "127.0.0.9"
"""The addresses of carriers that may send calls to us: of account demo, and of none."""
FROM_PEER = "<sip:4930100@carrier.example>"
OF_SOMEBODY_ELSE = "4915100"
"""A number that account other may show, and demo may not."""
AT_ONCE = 10
"""Calls that a new account may have up."""
TARGETS = ("49200", "+49200", "112", "s", "h", "i", "t", "*97", "from-callers", "%24%7BEXTEN%7D")


@pytest.fixture
def keeping(asterisk: Asterisk) -> Iterator[Carrier]:
    with Carrier(asterisk.carrier_ports["carrier-a"], keeps_messages=True) as carrier:
        yield carrier


def at(asterisk: Asterisk, address: str) -> HostilePhone:
    return HostilePhone(asterisk, address)


def test_a_carrier_that_calls_go_to_gets_no_call_through_us_whatever_it_dials(
    ringmaster: Ringmaster, keeping: Carrier
) -> None:
    """As the sample has it: the context of its calls is empty."""
    ringmaster.account()
    ringmaster.account("carrier-a")
    ringmaster.route("", CARRIER_A)
    carrier = at(ringmaster.asterisk, "127.0.0.1")

    heard = {
        target: carrier.call(target, *PLANTED, caller="<sip:carrier-a@x>") for target in TARGETS
    }
    carrier.close()

    assert set(heard.values()) <= {404, 416, 484}, heard
    assert ringmaster.live_calls() == []
    assert keeping.all_seen() == []


def test_nothing_that_a_peer_writes_into_headers_reaches_the_next_carrier(
    ringmaster: Ringmaster, keeping: Carrier
) -> None:
    ringmaster.account()
    ringmaster.account(MARK)
    ringmaster.route("49", CARRIER_A, caller_id_policy="pass")
    peer = at(ringmaster.asterisk, PEER)

    assert peer.call("49200", *PLANTED, caller=f'"{MARK}" {FROM_PEER}') == 200
    peer.close()

    (invite,) = keeping.wait_for_invites()
    assert MARK not in invite, invite
    cdr = ringmaster.cdr()
    assert (cdr.account, cdr.caller_sent, cdr.caller_name) == ("demo", "4930100", MARK)


@pytest.mark.parametrize("name", ["alice", "carol", "carrier-a", "returned", MARK])
def test_a_peer_is_of_the_account_of_its_address_whoever_it_says_it_is(
    ringmaster: Ringmaster, keeping: Carrier, name: str
) -> None:
    """From names a peer or an account of somebody else: the address counts."""
    for code in ("demo", "prepaid", MARK):
        ringmaster.account(code)
    ringmaster.route("49", CARRIER_A)
    peer = at(ringmaster.asterisk, PEER)

    assert peer.call("49200", f"X-Account-Code: {MARK}", caller=f"<sip:{name}@x>") == 200
    peer.close()

    assert ringmaster.cdr().account == "demo"


def test_a_peer_without_an_account_reaches_nobody(ringmaster: Ringmaster, keeping: Carrier) -> None:
    """And its name in From is no account either."""
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    peer = at(ringmaster.asterisk, BARE_PEER)

    heard = [peer.call("49200", caller=f"<sip:{name}@x>") for name in ("4930100", "demo", "alice")]
    peer.close()

    assert heard == [403] * 3
    cdrs = ringmaster.wait_for_cdrs(3)
    assert {(cdr.account, cdr.disposition) for cdr in cdrs} == {("", "unauthorized")}
    assert keeping.all_seen() == []


def test_a_number_of_somebody_elses_account_is_not_shown_for_a_peer(
    ringmaster: Ringmaster, keeping: Carrier
) -> None:
    ringmaster.account(allowed_callers="4930", caller_id="4930999")
    ringmaster.account("other", allowed_callers=OF_SOMEBODY_ELSE)
    ringmaster.route("49", CARRIER_A, caller_id_policy="pass")
    peer = at(ringmaster.asterisk, PEER)

    claimed = (f"sip:{OF_SOMEBODY_ELSE}1@x", f"sip:+{OF_SOMEBODY_ELSE}1@x")
    for uri in claimed:
        headers = (f"P-Asserted-Identity: <{uri}>", f"Remote-Party-ID: <{uri}>;screen=yes")
        assert peer.call("49200", *headers, caller=f"<{uri}>") == 200
    peer.close()

    invites = keeping.wait_for_invites(len(claimed))
    for invite in invites:
        assert OF_SOMEBODY_ELSE not in invite, invite
        assert "<sip:4930999@" in invite
    for cdr in ringmaster.wait_for_cdrs(len(claimed)):
        assert (cdr.account, cdr.caller_sent) == ("demo", "4930999")
        assert "is none of account demo's" in cdr.reason


def test_a_peer_with_a_hop_count_of_ours_is_ended_and_one_that_forges_none_gains_nothing(
    ringmaster: Ringmaster, keeping: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    peer = at(ringmaster.asterisk, PEER)

    assert peer.call("49200", "X-Ringmaster-Hops: 1", caller=FROM_PEER) != 200
    assert peer.call("49200", "X-Ringmaster-Hops: 01", caller=FROM_PEER) != 200
    heard = [peer.call("49200", f"X-Ringmaster-Hops: {hops}", caller=FROM_PEER) for hops in HOPS]
    peer.close()
    # 480: refused at the door, as somebody who is refused so often.
    assert set(heard) <= {200, 480, 503}
    assert heard[:2] == [200, 200]

    first, second, *_ = ringmaster.wait_for_cdrs(2 + heard.count(200))
    assert (first.disposition, second.disposition) == ("loop", "loop")
    for invite in keeping.wait_for_invites():
        assert "X-Ringmaster-Hops: 1" in invite.splitlines()


@pytest.mark.parametrize("carrier", ["washer", "forger"])
def test_our_own_call_that_comes_back_without_its_hop_count_ends_at_the_accounts_limit(
    ringmaster: Ringmaster, caller: Caller, carrier: str
) -> None:
    """Nothing in it says that it is ours: as many rounds as the account may have calls, no more."""
    account = ringmaster.account()
    Limit.objects.create(scope="account", account=account, metric="concurrent", value=AT_ONCE)
    ringmaster.route("49", f"PJSIP/{{number}}@{carrier}")

    assert caller.call("49200").finals != [200]

    cdrs = ringmaster.wait_for_cdrs(AT_ONCE + 1, timeout_s=60)
    assert len(cdrs) == AT_ONCE + 1
    dispositions = [cdr.disposition for cdr in cdrs]
    assert dispositions.count("limited") == 1
    assert "answered" not in dispositions
