"""The INVITE that reaches a carrier: the rewritten number, and whose number it shows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from calls.models import Block, RouteTarget, Trunk
from tests.integration.conftest import Ringmaster
from tests.lab.asterisk import Asterisk
from tests.lab.sip import Caller, Carrier

CARRIER_A = "PJSIP/{number}@carrier-a"


@pytest.fixture
def keeping(asterisk: Asterisk) -> Iterator[Carrier]:
    """Carrier A, keeping every INVITE."""
    with Carrier(asterisk.carrier_ports["carrier-a"], keeps_messages=True) as carrier:
        yield carrier


def header(invite: str, name: str) -> str:
    """The header's value without its tag; '' where there is none."""
    lines = invite.splitlines()
    found = next((line for line in lines if line.startswith(f"{name}: ")), f"{name}: ")
    return found.removeprefix(f"{name}: ").partition(";tag=")[0]


NOBODY = '"Anonymous" <sip:anonymous@anonymous.invalid>'


@pytest.mark.parametrize(
    ("user", "policy", "of_trunk", "sent", "shown"),
    [
        ("4930100", "pass", "", "4930100", "<sip:4930100@127.0.0.1>"),
        ("4930100", "fixed", "4977777", "4977777", "<sip:4977777@127.0.0.1>"),
        ("4930100", "fixed", "+4977777", "+4977777", "<sip:+4977777@127.0.0.1>"),
        ("4930100", "account", "4977777", "4955555", "<sip:4955555@127.0.0.1>"),
        ("4930100", "anonymous", "", "", NOBODY),
        # A caller without a number is shown as nobody, never by the name it logs in with.
        ("alice", "pass", "", "", NOBODY),
    ],
)
def test_the_carrier_is_shown_the_number_that_the_trunks_policy_says(
    ringmaster: Ringmaster,
    caller: Caller,
    keeping: Carrier,
    user: str,
    policy: str,
    of_trunk: str,
    sent: str,
    shown: str,
) -> None:
    ringmaster.account(caller_id="4955555")
    ringmaster.route("49", CARRIER_A, caller_id_policy=policy, caller_id=of_trunk)

    calls = caller.call("49200", as_user=user)

    assert (calls.finals, calls.seen[0].provisional) == ([200], (180,))
    (invite,) = keeping.wait_for_invites()
    assert header(invite, "From") == shown
    assert user not in invite or user == sent
    cdr = ringmaster.cdr()
    assert (cdr.caller_received, cdr.caller_sent) == (user, sent)
    ringmaster.assert_nothing_left()


def test_the_carrier_is_sent_the_number_in_its_own_form(
    ringmaster: Ringmaster, caller: Caller, keeping: Carrier
) -> None:
    """Dialled nationally, routed as E.164, rewritten by the route, the trunk and its expression."""
    ringmaster.account(country_code="49", national_prefix="0")
    route = ringmaster.route(
        "4930", CARRIER_A, strip_digits=1, rewrite_match="^9(.*)", rewrite_replace=r"+49\1"
    )
    route.targets.update(strip_digits=1, add_prefix="19")
    route.save()

    assert caller.call("030200").finals == [200]

    (invite,) = keeping.wait_for_invites()
    assert invite.startswith("INVITE sip:+49930200@127.0.0.1")
    cdr = ringmaster.cdr()
    assert (cdr.callee_received, cdr.callee_normalised) == ("030200", "4930200")
    assert (cdr.callee_sent, cdr.prefix) == ("+49930200", "4930")
    ringmaster.assert_nothing_left()


def test_a_redirect_of_one_carrier_is_not_told_to_the_next(
    ringmaster: Ringmaster, caller: Caller, carrier_b: Carrier, keeping: Carrier
) -> None:
    ringmaster.account()
    route = ringmaster.route("49", "PJSIP/{number}@carrier-b")
    second = Trunk.objects.create(
        name="a", dial_string=CARRIER_A, rewrite_match=".*", rewrite_replace="49200"
    )
    RouteTarget.objects.create(route=route, trunk=second, priority=2)

    assert caller.call("49302").finals == [200]

    (invite,) = keeping.wait_for_invites()
    assert "Diversion" not in invite
    assert "49302" not in invite
    ringmaster.assert_nothing_left()


@pytest.mark.parametrize("side", ["callee", "caller"])
def test_a_call_on_the_blocklist_gets_403_and_reaches_no_carrier(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier, side: str
) -> None:
    ringmaster.account()
    ringmaster.route("49", CARRIER_A)
    prefix = {"callee": "492", "caller": "4930"}[side]
    assert caller.call("49200", as_user="4930100").finals == [200]
    Block.objects.create(side=side, prefix=prefix, note="fraud")

    assert caller.call("49200", as_user="4930100").finals == [403]

    cdr = ringmaster.wait_for_cdrs(2)[1]
    assert (cdr.disposition, cdr.q850_cause, cdr.ended_by) == ("blocked", 21, "switch")
    assert cdr.reason == f"blocklist entry {side} {prefix} (all): fraud"
    assert carrier.seen("49200").count("INVITE") == 1
    ringmaster.assert_nothing_left()


def test_a_route_outside_its_schedule_is_as_if_it_were_not_there(
    ringmaster: Ringmaster, caller: Caller, carrier: Carrier
) -> None:
    ringmaster.account(time_zone="Europe/Paris")
    route = ringmaster.route("49", CARRIER_A)
    tomorrow = datetime.now(ZoneInfo("Europe/Paris")) + timedelta(days=2)
    route.schedule = f"{tomorrow:%a}".lower()
    route.save()

    assert caller.call("49200").finals == [404]

    cdr = ringmaster.cdr()
    assert (cdr.disposition, cdr.reason) == (
        "no_route",
        "no route of account demo has a prefix of 49200 and holds now",
    )
    ringmaster.assert_nothing_left()
