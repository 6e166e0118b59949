"""Calls from end to end through the engine, on a real Redis."""

from calls.machine.commands import AddToBridge, Dial
from calls.machine.events import ChannelLeft, HangupAsked, HangupRequested, encode
from calls.machine.session import Phase
from calls.routing.choice import Refusal
from cdr.record import Disposition
from tests.engine.office import phase_of
from tests.machine.world import CALL, A, World, b, entered, plan, target


async def test_an_answered_call(office):
    await office.begin()
    assert phase_of(office) is Phase.DIALLING
    office.world.ring(b())
    office.world.answer(b())
    await office.tell()
    await office.attend()
    assert phase_of(office) is Phase.TALKING
    office.world.now_ms += 10_000
    office.world.end(A)
    await office.tell()
    await office.attend()

    record = office.assert_ended_clean()
    assert (record.disposition, record.ended_by) == ("answered", "caller")
    assert record.ended_ms - record.answered_ms == record.talk_ms > 10_000


async def test_a_call_that_fails_over_to_a_busy_callee(make_office):
    office = make_office(World(found=plan(target(), target("carrier-b"))))
    await office.begin()
    office.world.end(b(1), 34, 503)
    await office.tell()
    await office.attend()
    office.world.end(b(2), 17, 486)
    await office.tell()
    await office.attend()

    record = office.assert_ended_clean()
    assert record.disposition == "busy"
    assert [each.sip_code for each in record.attempts] == [503, 486]


async def test_a_refused_call_is_over_in_one_turn(make_office):
    office = make_office(World(found=Refusal(Disposition.NO_ROUTE, 1, "no route")))
    await office.begin()

    record = office.assert_ended_clean()
    assert (record.disposition, record.reason) == ("no_route", "no route")


async def test_a_call_for_which_no_route_can_be_looked_up_is_refused_with_the_reason(office):
    office.directory.down = True
    await office.begin()

    record = office.assert_ended_clean()
    assert (record.disposition, record.q850_cause) == ("congestion", 41)
    assert record.reason == "the routing database does not answer: it is away"


async def test_the_directory_is_told_the_current_version_of_the_models(office):
    office.client.set("ringmaster:config_version", 7)
    await office.post(entered())
    await office.attend()

    assert office.directory.versions == [7]


async def test_a_caller_who_leaves_during_the_set_up_is_noticed_before_b_is_dialled(office):
    async def leave(command: object) -> None:
        if isinstance(command, AddToBridge):
            office.world.told.append(HangupRequested(A, office.world.now_ms, 127))

    office.gateway.before = leave
    await office.begin()
    office.world.end(A, 127)
    await office.settle()

    assert office.world.dialled == []
    assert office.assert_ended_clean().disposition == "cancelled"


async def test_an_event_that_comes_during_a_turn_is_handled_by_that_turn(office):
    async def answer(command: object) -> None:
        if isinstance(command, Dial):
            office.world.told.append(HangupAsked(office.world.now_ms, "root"))

    office.gateway.before = answer
    await office.begin()

    assert office.assert_ended_clean().ended_by == "admin"


async def test_events_that_came_together_are_decided_in_their_order(office):
    await office.begin()
    office.world.ring(b())
    office.world.answer(b())
    office.world.end(b())
    await office.tell()
    await office.attend()
    await office.settle()

    record = office.assert_ended_clean()
    assert (record.disposition, record.ended_by) == ("answered", "callee")
    assert record.ringing_ms < record.answered_ms < record.ended_ms


async def test_a_call_is_looked_at_when_its_time_has_come(office):
    await office.begin()
    await office.attend()
    office.world.channels.clear()
    office.world.now_ms = office.session.wake_ms
    await office.attend()

    assert office.assert_ended_clean().integrity == "recovered"


async def test_a_mailbox_without_a_beginning_is_cleared_away(office):
    office.client.rpush(f"ringmaster:mail:{CALL}", encode(ChannelLeft(A, 1)))
    await office.attend()

    assert office.client.dbsize() == 0
