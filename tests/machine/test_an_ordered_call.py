"""A call that somebody ordered: its caller is called first, then it is a call like any other."""

import dataclasses

import pytest

from calls import ids
from calls.machine import digest, table
from calls.machine.commands import (
    AddToBridge,
    Answer,
    CreateChannel,
    FindRoute,
    Hangup,
    LookUp,
    Originate,
    Play,
)
from calls.machine.doubt import LAST_SLACK_MS
from calls.machine.events import (
    CallRefused,
    ChannelAnswered,
    ChannelProgressed,
    CommandFailed,
    Doubted,
    HangupAsked,
    HangupRequested,
)
from calls.machine.ordered import ANSWERED_LIMIT_S, ENTER_PATIENCE_MS, SILENT_CALL_S
from calls.machine.session import Phase
from calls.machine.talk import SOUND
from calls.routing.choice import Refusal
from cdr.record import Disposition
from tests.machine.world import CALL, A, World, b, calling, entered, ordered, plan


def at_the_phone(**changes):
    """An ordered call whose caller has answered, and whose B leg has been dialled."""
    world = calling(**changes)
    world.ring(A)
    world.pick_up()
    world.hear_all()
    return world


def test_the_phone_is_called_and_nobody_else_yet():
    world = calling()

    (command,) = world.done
    known = digest.encode(table.begun(CALL, ordered()))
    assert command == Originate(A, "PJSIP/alice", 30, 30 + ANSWERED_LIMIT_S, "33123", known)
    assert world.session.phase is Phase.CALLING
    assert world.session.account == "acme"


def test_once_the_phone_is_answered_the_call_goes_where_the_route_says():
    world = at_the_phone()

    assert world.session.phase is Phase.DIALLING
    assert world.count(FindRoute) == world.count(Originate) == 1
    assert world.dialled == [A, b()]


def test_a_phone_that_enters_while_it_rings_is_connected_to_nobody_until_it_is_answered():
    """It is in Stasis from the start; a bridge of the version before tells of that."""
    world = calling()
    world.hear(world.entering(up=False, sip_call_id="the INVITE's"))
    world.ring(A)
    world.hear_all()
    assert world.session.phase is Phase.CALLING
    assert not world.count(FindRoute)
    world.pick_up()
    world.hear_all()

    assert world.session.phase is Phase.DIALLING
    assert world.dialled == [A, b()]


def test_a_phone_that_enters_before_it_is_dialled_is_dialled_all_the_same():
    """Its channel has the Call-ID of an INVITE that has not gone out."""
    world = World(channels={})
    world.session = table.begun(CALL, ordered())
    world.decide(world.entering(up=False, sip_call_id="the INVITE's"))
    assert [type(each) for each in world.session.pending] == [Originate]
    world.work()

    assert world.dialled == [A]


def test_who_answers_has_entered_and_nothing_more_is_waited_for():
    world = calling()
    world.ring(A)
    world.hear_all()
    world.channels[A] = "Up"
    world.hear(world.entering(up=True))
    world.hear_all()

    assert world.session.phase is Phase.DIALLING
    assert world.session.a_answered_ms is not None
    assert not world.session.recovered


def test_the_record_is_that_of_a_call_and_says_who_placed_it():
    world = at_the_phone()
    world.ring(b())
    world.answer(b())
    world.hear_all()
    world.now_ms += 5_000
    world.end(A)
    world.hear_all()

    record = world.record
    assert (record.disposition, record.ended_by) == ("answered", "caller")
    assert (record.account, record.caller_received, record.callee_received) == (
        "acme",
        "4930100",
        "33123",
    )
    assert record.reason == "placed by token crm"
    assert record.sip_code_heard == 200
    assert record.talk_ms >= 5_000
    assert record.integrity == "complete"
    assert not world.count(Answer)
    assert world.empty


def test_the_phone_that_hangs_up_while_the_callee_rings_cancels_the_call():
    world = at_the_phone()
    world.ring(b())
    world.end(A)
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "caller")
    assert world.empty


def test_a_callee_who_is_busy_ends_the_call_at_the_phone_too():
    world = at_the_phone()
    world.end(b(), 17, 486)
    world.hear_all()

    assert (world.record.disposition, world.record.sip_code) == ("busy", 486)
    assert world.record.sip_code_heard is None
    assert world.empty


def test_a_call_that_goes_nowhere_is_refused_once_the_phone_is_answered():
    refusal = Refusal(Disposition.NO_ROUTE, 1, "no route of account acme", "acme", "33123")
    world = at_the_phone(found=refusal)

    assert world.record.disposition == "no_route"
    assert world.record.reason == "no route of account acme; placed by token crm"
    assert world.empty


@pytest.mark.parametrize(
    ("rings", "cause", "code", "disposition", "words"),
    [
        (False, 17, 486, "busy", "was busy"),
        (True, 21, 603, "rejected", "declined"),
        (True, 19, 480, "no_answer", "did not answer"),
        (False, 34, 503, "congestion", "could not be reached"),
        (False, 20, None, "no_answer", "did not answer"),
    ],
)
def test_a_phone_that_is_not_answered_is_a_record_that_says_why(
    rings, cause, code, disposition, words
):
    world = calling()
    if rings:
        world.ring(A)
    world.end(A, cause, code)
    world.hear_all()

    record = world.record
    assert (record.disposition, record.q850_cause, record.sip_code) == (disposition, cause, code)
    assert record.reason == f"phone alice {words}, so nobody was called; placed by token crm"
    assert (record.ended_by, record.attempts, record.sip_code_heard) == ("caller", (), None)
    assert world.dialled == [A]
    assert world.empty


def test_a_phone_that_rings_for_too_long_is_ended_by_asterisk():
    """Without a hang-up request, as measured."""
    world = calling()
    world.ring(A)
    world.end(A, 19, 480, silently=True)
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("no_answer", "switch")


def test_early_media_of_the_phone_counts_as_its_ringing():
    world = calling()
    world.told.append(ChannelProgressed(A, world.now_ms))
    world.hear_all()

    assert world.session.a_ringing_ms is not None


def test_who_ordered_it_may_hang_up_while_the_phone_rings():
    world = calling()
    world.ring(A)
    world.told.append(HangupAsked(world.now_ms, "root"))
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "admin")
    assert world.count(Hangup) == 1
    assert world.empty


def test_a_phone_that_cannot_be_called_is_a_record():
    world = World(channels={}, broken={Originate: "there is no such endpoint"})
    world.hear(ordered())
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("congestion", "switch")
    assert world.record.reason == "there is no such endpoint; placed by token crm"
    assert not world.count(CreateChannel)


def test_where_nobody_knows_whether_the_phone_was_called_asterisk_is_asked():
    world = World(channels={})
    lost = CommandFailed(0, Originate(A, "", 0, 0), "no answer came", unknown=True)
    world.broken = {Originate: lost}
    world.hear(ordered())
    world.broken = {}
    assert world.session.phase is Phase.CALLING
    world.doubt()
    world.hear_all()

    assert world.count(LookUp) == 1
    assert world.record.reason == "no answer came; placed by token crm"
    assert world.record.ended_by == "unknown"
    assert world.dialled == []


def test_a_phone_that_rings_all_the_same_rings_on():
    world = calling()
    world.ring(A)
    world.told.clear()
    world.session = table.decide(
        world.session,
        CommandFailed(world.now_ms, Originate(A, "", 0, 0), "no answer came", unknown=True),
    )
    world.doubt()
    assert world.session.phase is Phase.CALLING
    assert world.session.a_ringing_ms is not None
    world.pick_up()
    world.hear_all()

    assert world.session.phase is Phase.DIALLING
    assert world.dialled == [A, b()]


def test_an_answer_whose_entering_is_not_heard_is_found_by_a_look():
    world = calling()
    world.channels[A] = "Up"
    world.hear(ChannelAnswered(A, world.now_ms))
    assert world.session.wake_ms <= world.now_ms + 1_000
    world.doubt()
    world.hear_all()

    assert world.session.phase is Phase.DIALLING
    assert world.session.recovered


def test_an_answer_that_was_not_heard_at_all_is_found_by_a_look():
    world = calling()
    world.pick_up()
    world.told.clear()
    world.doubt()
    world.hear_all()

    assert world.session.phase is Phase.DIALLING


def test_the_end_of_the_ringing_that_was_not_heard_is_found_by_a_look():
    world = calling()
    world.ring(A)
    world.hear_all()
    world.end(A, 17, 486)
    world.told.clear()
    world.doubt()
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("no_answer", "unknown")
    assert world.record.integrity == "recovered"


def test_a_phone_that_asterisk_lets_ring_past_its_time_is_hung_up():
    world = calling()
    world.ring(A)
    world.hear_all()
    for _ in range(2):
        # At the first look it has rung a few milliseconds too short.
        world.doubt()
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("no_answer", "switch")
    assert world.empty


def test_a_phone_rings_its_time_whatever_the_clock_by_which_it_was_ordered():
    world = World(channels={}, now_ms=10_000_000)
    world.hear(ordered(at_ms=1_000))
    world.ring(A)
    world.hear_all()
    world.hear(Doubted(world.now_ms))
    world.hear_all()

    assert world.count(LookUp) == 1
    assert world.session.phase is Phase.CALLING


def test_a_look_while_the_phone_is_still_to_be_called_changes_nothing():
    world = World(channels={})
    world.session = table.begun(CALL, ordered())
    world.doubt()
    world.hear_all()

    assert world.session.phase is Phase.CALLING
    assert world.dialled == [A]


def test_a_phone_that_answers_and_hangs_up_at_once_has_cancelled_the_call():
    """Its entering may come last."""
    world = calling()
    world.pick_up()
    answered, enters = world.told
    world.told = [answered, HangupRequested(A, world.now_ms), enters]
    world.channels.pop(A)
    world.hear_all()
    world.doubt()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "caller")
    assert not world.count(CreateChannel)


def test_a_phone_that_is_gone_before_it_entered_has_cancelled_the_call():
    world = calling()
    world.pick_up()
    world.told.pop()
    world.end(A)
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "caller")


def test_a_phone_that_leaves_without_having_been_heard_to_enter_has_cancelled_the_call():
    world = calling()
    world.pick_up()
    world.told.clear()
    world.end(A, silently=True)
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "caller")


def test_a_node_that_never_comes_back_ends_the_call_once_the_phone_has_rung():
    world = calling()
    world.broken = {LookUp: "node demo does not answer"}
    world.now_ms = 1_000 + (30 + ANSWERED_LIMIT_S) * 1000 + LAST_SLACK_MS
    world.doubt()

    assert world.session.phase is Phase.OVER
    assert world.record.integrity == "recovered"


def test_without_a_phone_the_callee_hears_a_sound_in_a_bridge_of_its_own():
    world = calling(phone="")
    assert world.session.phase is Phase.DIALLING
    assert world.dialled == [b()]
    world.ring(b())
    world.answer(b())
    world.hear_all()

    assert world.session.phase is Phase.TALKING
    assert [each for each in world.done if isinstance(each, Play)] == [Play(f"{A}.br", SOUND)]
    assert AddToBridge(f"{A}.br", (b(),)) in world.done
    assert not world.count(Answer)
    assert world.session.max_call_s == SILENT_CALL_S
    world.end(b())
    world.hear_all()
    assert (world.record.disposition, world.record.ended_by) == ("answered", "callee")
    assert world.empty


def test_a_silent_channel_that_is_found_by_a_look_goes_on():
    world = World(channels={})
    world.hear(ordered(phone="", trunk="carrier-a"))
    world.told.clear()
    world.doubt()
    world.hear_all()

    assert world.session.phase is Phase.DIALLING


def test_a_test_call_says_so_in_its_record():
    world = World(channels={}, broken={Originate: "no Local channels here"})
    world.hear(ordered(phone="", trunk="carrier-a"))
    world.hear_all()

    assert world.record.reason == (
        "no Local channels here; test call by token crm through trunk carrier-a alone"
    )


def test_a_silent_channel_that_is_gone_is_no_phone_that_was_busy():
    world = World(channels={})
    world.hear(ordered(phone=""))
    world.told.clear()
    world.channels.clear()
    world.doubt()

    assert world.record.reason.startswith("no channel could be made for the test call")


def test_an_order_or_an_entering_that_comes_again_begins_nothing():
    world = at_the_phone()
    again = world.session
    world.hear(ordered())
    world.hear(entered())

    assert world.session == again


def test_a_refusal_of_the_directory_while_calling_changes_nothing():
    """It cannot come, as nobody asks; were it to come, the phone would ring on."""
    world = calling()
    refusal = Refusal(Disposition.NO_ROUTE, 1, "no route")
    world.session = table.decide(world.session, CallRefused(world.now_ms, refusal))

    assert world.session.phase is Phase.CALLING


def test_the_plans_longest_call_holds_where_somebody_calls():
    world = at_the_phone(found=plan(max_call_s=600))

    assert world.session.max_call_s == 600


def test_a_phone_that_was_called_before_and_forgotten_is_looked_at_at_once():
    """Redis forgot the call, and it was ordered again under its key: the phone is there already."""
    world = World(channels={A: "Up"})
    world.hear(ordered())

    assert world.session.wake_ms <= world.now_ms + ENTER_PATIENCE_MS
    world.doubt()
    world.hear_all()
    assert world.dialled == [b()], "and is not called again"


# --- Redis has forgotten it ---

CHANNEL = ids.ordered_channel("token:1", "k", "20261129")


def test_a_phone_that_rings_rings_on_and_is_connected_to_whom_the_order_named():
    world = calling()
    before = world.session
    world.ring(A)
    world.forget()
    assert world.session.phase is Phase.CALLING
    assert world.session.recovered
    assert (world.session.order, world.session.dialled) == (before.order, "33123")
    assert world.session.started_ms == before.started_ms
    world.pick_up()
    world.hear_all()

    assert world.session.phase is Phase.DIALLING
    assert world.dialled == [A, b()]


def test_one_that_ended_before_anybody_knew_its_call_again_is_looked_at_in_a_second():
    world = calling()
    world.ring(A)
    found = world.as_found()
    world.end(A, 17, 486)
    world.told.clear()
    world.session = table.begun(CALL, found)
    assert world.session.wake_ms <= found.at_ms + ENTER_PATIENCE_MS
    world.doubt()
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("no_answer", "unknown")


def test_one_that_is_answered_and_about_to_enter_is_connected():
    world = calling()
    world.channels[A] = "Up"
    world.forget()
    assert world.session.phase is Phase.CALLING
    world.unanswered.clear()
    world.doubt()
    world.hear_all()

    assert world.dialled == [A, b()]


def test_one_that_has_entered_is_connected():
    world = calling()
    world.pick_up()
    world.forget()

    assert world.session.phase is Phase.DIALLING
    assert world.session.callee == "33123"
    assert world.dialled == [A, b()]


def test_a_talk_that_was_ordered_says_who_ordered_it():
    world = at_the_phone()
    world.answer(b())
    world.hear_all()
    world.forget()
    world.end(A)
    world.hear_all()

    assert world.record.reason == "placed by token crm"
    assert world.record.disposition == "answered"


def test_a_silent_channel_goes_on_and_its_callee_hears_the_sound():
    world = calling(phone="")
    world.forget()
    world.answer(b(2))
    world.hear_all()

    assert world.session.max_call_s == SILENT_CALL_S
    assert world.count(Play) == 1
    assert not world.count(Answer)


def test_what_enters_for_an_order_that_is_forgotten_begins_no_call_by_itself():
    """A comparison brings what stands on its channel."""
    event = dataclasses.replace(entered(dialled="", up=True), channel_id=CHANNEL)

    assert table.fold(f"demo:{CHANNEL}", None, [event]) is None


@pytest.mark.parametrize("phone", ["", "Ringing"], ids=["answered", "rings"])
def test_a_phone_that_does_not_tell_its_order_is_let_go_with_a_record_that_says_so(phone):
    event = dataclasses.replace(
        World(channels={A: "Up"}).as_found(),
        channel_id=CHANNEL,
        dialled="",
        present=not phone,
        phone=phone,
        digest=phone and "of a newer version",
    )
    session = table.fold(f"demo:{CHANNEL}", None, [event])

    assert session.phase is Phase.ENDING
    assert session.pending == (Hangup(CHANNEL, 16),)
    assert session.reason.startswith("Redis has forgotten whom the order was to call")
