"""Whatever a phone writes into an INVITE: nothing of it reaches a carrier, or another account."""

import re
import time
from collections.abc import Iterator

import pytest

from calls.models import Block
from calls.routing.numbers import normalise
from tests.integration.conftest import Ringmaster
from tests.integration.hostile_phone import HOPS, MARK, PLANTED, HostilePhone
from tests.lab.asterisk import Asterisk
from tests.lab.ports import LOOPBACK
from tests.lab.sip import Carrier
from tests.lab.waiting import wait_for

CARRIER_A = "PJSIP/{number}@carrier-a"
CALLS = (
    "+3900449012345",
    "+00449012345",
    "%2B449012345",
    "%34%34%39%30%31%32%33%34%35",
    "44%390%31%32345",
    "449012345;phone-context=+1",
    "+449012345;npdi;rn=+4930",
    "449012345;isub=1",
    "449012345%3Bphone-context=x",
    "449012345%40carrier-b",
    "449012345%26PJSIP/449012346%40carrier-b",
    "44-90-12345",
    "(44)9012345",
    "44.90.12345",
    "44%2090%2012345",
    "%D9%A4%D9%A4%D9%A9%D9%A012345",
    "%EF%BC%94%EF%BC%949012345",
    "449012345%00",
    "449012345%0D%0AX-Evil%3A1",
    "449012345%E2%80%AE",
    "*31%23449012345",
    "%23449012345",
    "0%2B449012345",
    "00%2B449012345",
    "p449012345",
    "449012345w1",
    "449012345,1",
    "449012345:secret",
)
"""User parts of addresses, each of which some switch or carrier may read as +44 90 12345."""


@pytest.fixture
def phone(asterisk: Asterisk) -> Iterator[HostilePhone]:
    made = HostilePhone(asterisk)
    yield made
    made.close()


@pytest.fixture
def keeping(asterisk: Asterisk) -> Iterator[Carrier]:
    with Carrier(asterisk.carrier_ports["carrier-a"], keeps_messages=True) as carrier:
        yield carrier


def test_nothing_that_a_phone_writes_into_headers_reaches_the_carrier(
    ringmaster: Ringmaster, phone: HostilePhone, keeping: Carrier
) -> None:
    ringmaster.account()
    ringmaster.account(MARK)
    ringmaster.route("49", CARRIER_A, caller_id_policy="pass")

    assert phone.call("49200", *PLANTED, caller=f'"{MARK}" <sip:4930100@{MARK}.x>') == 200

    (invite,) = keeping.wait_for_invites()
    assert re.search(r"^From: .*<sip:4930100@127", invite, re.M), invite
    assert MARK not in invite, invite
    cdr = ringmaster.cdr()
    assert (cdr.account, cdr.caller_sent) == ("demo", "4930100")
    assert (cdr.caller_received, cdr.caller_name) == ("4930100", MARK)
    ringmaster.assert_nothing_left()


def test_a_hop_count_that_somebody_wrote_is_a_number_or_none(
    ringmaster: Ringmaster, phone: HostilePhone, keeping: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)

    found = [phone.call("49200", f"X-Ringmaster-Hops: {hops}") for hops in HOPS]

    assert set(found) <= {200, 503}
    assert found[0] == found[1] == 200
    cdrs = ringmaster.wait_for_cdrs(len(HOPS))
    assert {cdr.disposition for cdr in cdrs} <= {"answered", "loop"}
    for invite in keeping.wait_for_invites(found.count(200)):
        assert "X-Ringmaster-Hops: 1" in invite.splitlines()
    ringmaster.assert_nothing_left()


def test_no_address_is_read_as_a_blocked_number_by_the_carrier_alone(
    ringmaster: Ringmaster, phone: HostilePhone, keeping: Carrier
) -> None:
    """Each is refused, or was understood, and then met the blocklist."""
    ringmaster.account(allowed_prefixes="", country_code="49", national_prefix="0")
    ringmaster.route("", CARRIER_A)
    Block.objects.create(side="callee", prefix="4490")

    # More slowly than somebody who tries numbers out is refused at the door.
    found = {}
    for number in CALLS:
        found[number] = phone.call(number)
        time.sleep(0.25)
    found["tel:"] = phone.call("", uri="tel:+449012345")
    found["sips:"] = phone.call("", uri=f"sip:449012345@{LOOPBACK};user=phone")

    answered = {number: code for number, code in found.items() if code == 200}
    assert answered == {}
    assert {cdr.disposition for cdr in ringmaster.wait_for_cdrs(len(CALLS) - 3)} <= {
        "blocked",
        "invalid_number",
    }
    assert keeping.all_seen() == []
    assert normalise("449012345") == "449012345"
    ringmaster.assert_nothing_left()


def test_a_message_too_long_or_broken_leaves_nothing_behind(
    ringmaster: Ringmaster, phone: HostilePhone, keeping: Carrier
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    names = ('"' + "ü" * 300 + '"', '"\\"\\r\\nVia: x\\""', '"<b>{{7*7}}${EXTEN}%0d%0a"')
    for name in names:
        phone.call("49200", caller=f"{name} <sip:alice@x>")
    phone.call("49200", "Replaces: nobody@x;to-tag=1;from-tag=2")
    phone.call("49200", "Require: 100rel,timer,evil")

    for cdr in ringmaster.wait_for_cdrs(len(names)):
        assert cdr.account == "demo"
        assert len(cdr.caller_name) <= 128
    wait_for(
        lambda: not ringmaster.live_calls(), timeout_s=10, failure=lambda: "A call is still up."
    )
    ringmaster.assert_nothing_left()
