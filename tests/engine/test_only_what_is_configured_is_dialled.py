"""A session in Redis may be anybody's writing; what it wants dialled is checked at that moment."""

from dataclasses import replace

import pytest

from calls.errors import TrunkRefused
from calls.machine.session import Phase
from tests.machine.world import target

pytestmark = pytest.mark.usefixtures("clean_redis")


def forged(office, endpoint):
    """Let the session say another endpoint than the trunk does."""
    plan = office.world.found
    targets = (replace(plan.targets[0], endpoint=endpoint),)
    office.world.found = replace(plan, targets=targets)


@pytest.mark.parametrize(
    "endpoint",
    [
        "Local/0019001234567@from-callers",
        "UnicastRTP/192.0.2.1:5000",
        "PJSIP/33123@another-carrier",
        "PJSIP/0019001234567@carrier-a",
        "PJSIP/carrier-a/sip:33123@192.0.2.1",
        "PJSIP/33123@carrier-a&PJSIP/1900@carrier-a",
    ],
)
async def test_an_endpoint_that_the_trunk_does_not_dial_is_never_made(office, endpoint, caplog):
    forged(office, endpoint)
    await office.begin()
    await office.settle()

    record = office.assert_ended_clean()
    assert office.world.dialled == []
    assert record.disposition == "congestion"
    assert record.reason.startswith(f"the call was to dial {endpoint!r}")
    assert "but trunk carrier-a dials 'PJSIP/33123@carrier-a' now" in record.reason
    assert "the call was to dial" in caplog.text


async def test_a_trunk_that_is_gone_or_forbidden_meanwhile_is_passed_over(office):
    async def refused(trunk, number, version):
        if trunk == "carrier-a":
            raise TrunkRefused("there is no trunk 'carrier-a'")
        return f"PJSIP/{number}@{trunk}"

    plan = office.world.found
    office.world.found = replace(plan, targets=(target("carrier-a"), target("carrier-b")))
    office.directory.endpoint = refused
    await office.begin()

    session = office.session
    assert session.phase is Phase.DIALLING
    assert [(leg.trunk, leg.outcome) for leg in session.legs] == [
        ("carrier-a", "failed"),
        ("carrier-b", "dialled"),
    ]
    assert session.legs[0].reason == "there is no trunk 'carrier-a'"


async def test_a_phone_that_is_none_of_the_accounts_does_not_ring(office):
    async def refused(account, phone):
        raise TrunkRefused(f"'{phone}' is no phone of account {account}")

    office.directory.phone = refused
    await office.order(phone="mallory")
    await office.settle()

    record = office.assert_ended_clean()
    assert office.world.dialled == []
    assert record.disposition == "congestion"
    assert record.reason == "'mallory' is no phone of account acme; placed by token crm"


async def test_an_endpoint_that_is_not_the_phones_does_not_ring(office):
    async def another(account, phone):
        return "PJSIP/another"

    office.directory.phone = another
    await office.order()
    await office.settle()

    assert office.world.dialled == []
    assert office.assert_ended_clean().reason.startswith("the call was to ring 'PJSIP/alice'")
