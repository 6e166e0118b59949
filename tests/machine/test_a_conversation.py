"""B answers, they talk, one of them hangs up or the limit ends it: who, when and how long."""

import pytest

from calls.machine.commands import Answer, DestroyBridge, Hangup
from calls.machine.events import ChannelAnswered, ChannelRinging, Doubted, HangupAsked
from calls.machine.session import Phase
from tests.machine.world import BRIDGE, A, b, plan, ringing, talking


def test_the_talk_begins_when_b_is_up():
    world = ringing()
    world.answer(b())
    answered_ms = world.now_ms
    world.hear_all()
    world.now_ms += 61_001
    world.end(A)
    world.hear_all()

    record = world.record
    assert (record.answered_ms, record.disposition, record.sip_code) == (
        answered_ms,
        "answered",
        200,
    )
    assert record.talk_ms == record.ended_ms - answered_ms
    assert record.billsec == 62


def test_a_is_answered_where_asterisk_has_not_done_it():
    world = ringing()
    world.hear(ChannelAnswered(b(), world.now_ms))

    assert Answer(A) in world.done


def test_a_is_not_answered_a_second_time():
    world = ringing()
    world.answer(b())
    world.told.reverse()
    world.hear_all()

    assert world.session.phase is Phase.TALKING
    assert Answer(A) not in world.done


def test_the_limit_ends_the_talk_to_the_millisecond_that_the_machine_asked_to_be_woken_at():
    world = talking(found=plan(max_call_s=60))
    answered_ms = world.session.answered_ms
    assert world.session.wake_ms == answered_ms + 60_000

    world.now_ms = world.session.wake_ms
    world.hear(Doubted(world.now_ms))
    world.hear_all()

    record = world.record
    assert (record.ended_by, record.talk_ms, record.billsec) == ("limit", 60_000, 60)
    assert world.empty


@pytest.mark.parametrize(("side", "by"), [(A, "caller"), (b(), "callee")])
@pytest.mark.parametrize("which", [0, 1, 2], ids=["hangup", "left", "destroyed"])
def test_whoever_ends_it_ends_it_for_both_by_whatever_sign_comes_first(side, by, which):
    world = talking()
    world.end(side)
    first = world.told.pop(which)
    world.hear(first)
    world.hear_all()

    record = world.record
    assert (record.ended_by, record.q850_cause) == (by, 16)
    assert record.ended_ms == first.at_ms
    other = b() if side == A else A
    assert Hangup(other, 16) in world.done
    assert Hangup(side, 16) not in world.done
    assert DestroyBridge(BRIDGE) in world.done
    assert world.empty


@pytest.mark.parametrize("side", [A, b()])
def test_a_call_that_asterisk_ends_at_its_limit_was_ended_by_the_limit(side):
    world = talking(found=plan(max_call_s=60))
    world.now_ms += 60_000
    world.end(side, silently=True)
    world.hear_all()

    record = world.record
    assert (record.ended_by, record.q850_cause) == ("limit", 102)
    assert record.reason == "the hard limit of 60 s was reached"
    assert world.empty


def test_a_leg_that_vanishes_long_before_the_limit_was_not_ended_by_it():
    world = talking(found=plan(max_call_s=60))
    world.now_ms += 10_000
    world.end(b(), silently=True)
    world.hear_all()

    assert world.record.ended_by == "callee"


def test_a_hangup_at_the_limit_is_still_a_hangup():
    world = talking(found=plan(max_call_s=60))
    world.now_ms += 60_000
    world.end(A)
    world.hear_all()

    assert world.record.ended_by == "caller"


def test_a_limit_that_asterisk_did_not_keep_is_kept_by_a_look():
    world = talking(found=plan(max_call_s=60))
    world.doubt()
    world.hear_all()

    assert world.record.ended_by == "limit"
    assert world.empty


def test_a_look_during_the_talk_that_finds_both_changes_nothing():
    world = talking()
    before = world.session
    world.hear(Doubted(world.now_ms))

    assert world.session.phase is Phase.TALKING
    assert world.session == before


@pytest.mark.parametrize("gone", [A, b()])
def test_a_look_finds_the_end_that_was_not_heard(gone):
    world = talking()
    world.end(gone)
    world.told.clear()
    world.hear(Doubted(world.now_ms))
    world.hear_all()

    record = world.record
    assert (record.disposition, record.ended_by) == ("answered", "unknown")
    assert record.integrity == "recovered"
    assert world.empty


def test_an_end_found_after_the_limit_is_not_billed_beyond_it():
    world = talking(found=plan(max_call_s=60))
    world.channels.clear()
    world.now_ms += 3_600_000
    world.hear(Doubted(world.now_ms))
    world.hear_all()

    assert world.record.talk_ms == 60_000


def test_a_person_can_end_the_talk():
    world = talking()
    world.hear(HangupAsked(world.now_ms + 5, "root"))
    world.hear_all()

    record = world.record
    assert (record.disposition, record.ended_by) == ("answered", "admin")
    assert record.reason == "hung up by root"
    assert Hangup(A, 16) in world.done
    assert world.empty


def test_a_leg_that_asterisk_itself_ends_was_ended_by_the_switch():
    world = talking()
    world.end(b(), soft=True)
    world.hear_all()

    assert world.record.ended_by == "switch"


def test_ringing_heard_after_the_answer_does_not_undo_it():
    world = talking()
    world.hear(ChannelRinging(b(), world.now_ms))

    assert world.session.phase is Phase.TALKING


def test_an_answer_heard_twice_does_not_move_the_beginning_of_the_talk():
    world = talking()
    answered_ms = world.session.answered_ms
    done = len(world.done)
    world.hear(ChannelAnswered(b(), answered_ms + 500))

    assert world.session.answered_ms == answered_ms
    assert len(world.done) == done
