"""A running canary reaches the live path, the explanation, the replay and the record."""

import asyncio

import pytest
from django.conf import settings

from calls.canary.course import go_back
from calls.machine.events import HangupAsked, RouteChosen
from calls.machine.record import call_record
from calls.machine.table import fold
from calls.models import Account, Canary, CanaryTarget
from calls.routing.canary import Arm, mark
from calls.routing.choice import CallFacts
from calls.store.directory import Directory
from calls.store.lookup import look_up, look_up_many
from calls.whatif.explanation import explain
from cdr.record import CallRecord
from tests.machine import world
from tests.routing.configured import MONDAY_NOON

pytestmark = pytest.mark.django_db


def canaries(dialled="49301", code="acme"):
    accounts, _, _ = look_up((code,), dialled, "")
    (by_many,) = look_up_many([(code, dialled, "")]).values()
    assert accounts == by_many
    return {route.prefix: route.canary for account in accounts for route in account.routes}


def test_a_running_canary_comes_along_with_its_route(canary):
    found = canaries()["49"]
    assert (found.canary_id, found.share) == (canary.pk, 10)
    assert [target.trunk for target in found.targets] == ["new"]


def test_one_that_has_ended_does_not(canary):
    go_back(canary, "By hand.")
    assert canaries() == {"49": None}


def test_that_of_another_accounts_route_is_none_of_ours(canary, route):
    Account.objects.create(code="other", name="Other")
    route.account = Account.objects.get(code="other")
    route.save()
    assert canaries() == {}
    assert canaries(code="other")["49"] is not None


def test_that_of_another_number_is_none_of_this_one(canary):
    assert canaries(dialled="33123") == {}


@pytest.mark.django_db(transaction=True)
def test_a_worker_and_the_explanation_draw_alike(canary):
    Canary.objects.update(share=50)
    directory = Directory(settings.MAX_CALL_S)

    async def found():
        return [
            await directory.find(CallFacts(f"pbx1:{n}", "49301", "", ("acme",), MONDAY_NOON), 1)
            for n in range(20)
        ]

    plans = asyncio.run(found())
    directory.close()
    assert {plan.canary for plan in plans} == {mark(canary.pk, arm) for arm in Arm}
    for number, plan in enumerate(plans):
        explained = explain("49301", account="acme", at_ms=MONDAY_NOON, call_id=f"pbx1:{number}")
        assert (explained.found.canary, explained.found.targets) == (plan.canary, plan.targets)


def test_a_trunk_is_tried_with_the_canarys_own_rewriting(canary):
    Canary.objects.update(share=100)
    CanaryTarget.objects.update(strip_digits=2, add_prefix="0")
    found = explain("49301", account="acme", at_ms=MONDAY_NOON).found
    assert [target.endpoint for target in found.targets] == ["PJSIP/0301@new"]


def test_the_record_says_which_arm_the_call_was_in(canary):
    Canary.objects.update(share=100)
    plan = explain("49301", account="acme", at_ms=MONDAY_NOON).found
    session = fold(
        world.CALL, world.routing().session, [RouteChosen(5, plan), HangupAsked(9, "ann")]
    )
    record = call_record(session)

    assert record.canary == f"{canary.pk}:new"
    assert CallRecord.from_json(record.to_json()) == record


def test_a_record_without_a_canary_can_be_read_by_a_writer_from_before_there_were_any():
    session = fold(
        world.CALL, world.routing().session, [RouteChosen(5, world.plan()), HangupAsked(9, "ann")]
    )
    assert b"canary" not in call_record(session).to_json()
