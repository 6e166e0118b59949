"""A call begins: its caller is known, its number has a route, or it is refused with the cause."""

import pytest

from calls.machine.beginning import begin
from calls.machine.commands import CreateBridge, CreateChannel, Dial, FindRoute, Hangup, LookUp
from calls.machine.events import Doubted, HangupAsked
from calls.machine.session import EndSign, Phase
from calls.routing.choice import Refusal
from calls.routing.targets import Skipped
from cdr.record import Disposition
from tests.machine.world import CALL, A, World, b, entered, plan, routing, setting_up, target


def test_a_call_with_a_route_sets_up_its_first_target():
    world = setting_up()

    assert world.session.phase is Phase.SETUP
    (leg,) = world.session.legs
    assert (leg.channel_id, leg.trunk, leg.outcome) == (b(), "carrier-a", "dialled")
    assert [type(each) for each in world.session.pending][:2] == [CreateChannel, CreateBridge]


def test_the_route_and_what_it_says_of_the_numbers_is_kept_for_the_record():
    world = dial_and_end(plan(target(callee="0033123", caller="999")))

    record = world.record
    assert (record.account, record.prefix, record.route) == ("acme", "33", "33 (all)")
    assert (record.callee_received, record.callee_normalised) == ("33123", "33123")
    assert (record.callee_sent, record.caller_sent) == ("0033123", "999")
    assert (record.caller_received, record.caller_name) == ("4930100", "Alice")


def dial_and_end(found):
    world = World(found=found)
    world.hear(entered())
    world.end(A, 127)
    world.hear_all()
    return world


@pytest.mark.parametrize(
    ("disposition", "cause"),
    [
        (Disposition.NO_ROUTE, 1),
        (Disposition.UNAUTHORIZED, 21),
        (Disposition.BLOCKED, 21),
        (Disposition.INVALID_NUMBER, 28),
    ],
)
def test_a_refused_caller_hears_why_and_nothing_is_dialled(disposition, cause):
    world = World(found=Refusal(disposition, cause, "it may not go there", account="acme"))
    world.hear(entered())
    world.hear_all()

    assert world.done[1:] == [Hangup(A, cause)]
    record = world.record
    assert (record.disposition, record.q850_cause, record.reason) == (
        disposition,
        cause,
        "it may not go there",
    )
    assert (record.ended_by, record.account, record.attempts) == ("switch", "acme", ())
    assert world.empty


def test_a_refusal_for_want_of_a_trunk_records_each_trunk_that_was_skipped():
    disabled = (
        target("carrier-a", skipped=Skipped.DISABLED),
        target("carrier-b", skipped=Skipped.DISABLED),
    )
    world = World(
        found=Refusal(Disposition.CONGESTION, 34, "no trunk", route="33 (all)", targets=disabled)
    )
    world.hear(entered())
    world.hear_all()

    assert [each.outcome for each in world.record.attempts] == ["skipped_disabled"] * 2
    assert [each.channel_id for each in world.record.attempts] == ["", ""]
    assert world.record.trunk == ""


def test_a_plan_of_which_every_target_is_skipped_gives_congestion():
    world = World(
        found=plan(target(skipped=Skipped.FULL), target("carrier-b", skipped=Skipped.DOWN))
    )
    world.hear(entered())
    world.hear_all()

    record = world.record
    assert (record.disposition, record.q850_cause) == ("congestion", 34)
    assert [each.outcome for each in record.attempts] == ["skipped_full", "skipped_down"]
    assert record.reason == "trunk carrier-a is full, trunk carrier-b is down"
    assert world.count(CreateChannel) == 0


def test_a_skipped_target_does_not_end_the_hunt():
    world = World(found=plan(target(skipped=Skipped.DISABLED), target("carrier-b")))
    world.hear(entered())

    assert world.session.leg.trunk == "carrier-b"
    assert world.dialled == [b(2)]


@pytest.mark.parametrize("silently", [True, False])
def test_a_caller_who_leaves_before_the_route_is_known_reaches_nobody(silently):
    world = routing()
    world.end(A, 127, silently=silently)
    world.hear_all()

    assert world.count(CreateChannel) == 0
    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "caller")


def test_a_caller_of_whom_only_the_destruction_is_heard_is_gone_too():
    world = routing()
    world.end(A, 127)
    world.hear(world.told[-1])

    assert world.record.disposition == "cancelled"


def test_a_person_can_end_a_call_that_has_no_route_yet():
    world = routing()
    world.hear(HangupAsked(1_010, "root"))
    world.hear_all()

    record = world.record
    assert (record.disposition, record.ended_by) == ("cancelled", "admin")
    assert record.reason == "hung up by root"
    assert world.count(Dial) == 0


def test_a_call_that_waits_for_its_route_for_too_long_looks_for_its_caller():
    world = routing()
    world.channels.clear()
    world.doubt()

    assert world.session.a_end_sign is EndSign.MISSED
    record = world.record
    assert (record.disposition, record.ended_by) == ("cancelled", "unknown")
    assert record.integrity == "recovered"


def test_a_look_that_finds_the_caller_waiting_changes_nothing():
    """Not even for the leg that was made between the question and its answer."""
    world = routing()
    world.doubt()
    world.hear_all()

    assert world.session.phase is Phase.DIALLING
    assert world.dialled == [b()]
    assert not world.session.recovered


def test_a_look_made_before_the_route_was_known_waits_for_it():
    world = routing()
    world.decide(Doubted(world.now_ms))
    world.do(LookUp)

    assert world.session.phase is Phase.ROUTING
    assert world.session.pending == (FindRoute(),)


def test_a_look_made_before_the_route_is_known_may_find_the_caller_gone():
    world = routing()
    world.decide(Doubted(world.now_ms))
    world.channels.clear()
    world.do(LookUp)

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "unknown")


@pytest.mark.parametrize(
    ("account_code", "channel_name", "keys"),
    [
        ("acme", "PJSIP/alice-00000001", ("acme",)),
        ("", "PJSIP/alice-00000001", ("alice",)),
        ("nobody any more", "PJSIP/acme-00000001", ("nobody any more",)),
        ("", "", ()),
    ],
)
def test_a_caller_belongs_to_their_endpoint_only_without_any_accountcode(
    account_code, channel_name, keys
):
    """Else renaming an account would hand its callers to whoever is called like their endpoint."""
    event = entered(account_code=account_code, channel_name=channel_name)

    assert begin(CALL, event).account_keys == keys
