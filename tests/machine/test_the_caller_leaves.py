"""The caller gives up, or a person ends the call, before the answer: B stops ringing at once."""

import pytest

from calls.machine.commands import Dial, Hangup
from calls.machine.events import ChannelAnswered, HangupAsked
from calls.machine.session import Phase
from tests.machine.world import A, b, dialling, plan, ringing, target


@pytest.mark.parametrize("which", [0, 1, 2], ids=["hangup", "left", "destroyed"])
def test_whatever_sign_of_it_comes_first_b_stops_ringing(which):
    world = ringing()
    world.end(A, 127)
    world.hear(world.told.pop(which))

    assert Hangup(b(), 16) in world.done
    world.hear_all()
    record = world.record
    assert (record.disposition, record.ended_by, record.sip_code) == ("cancelled", "caller", 487)
    assert record.ringing_ms is not None
    assert world.empty


def test_no_other_trunk_is_tried_for_a_caller_who_has_left():
    """Both ends come in one turn: B's congestion must not be hunted on from."""
    world = dialling(found=plan(target(), target("carrier-b")))
    world.end(A, 127)
    world.end(b(), 34, 503)
    world.hear_all()

    assert world.count(Dial) == 1
    assert world.record.disposition == "cancelled"


def test_an_answer_that_crosses_with_the_cancellation_is_ended():
    world = ringing()
    world.channels[b()] = "Up"
    world.end(A, 127)
    world.hear_all()
    world.hear(ChannelAnswered(b(), world.now_ms))

    assert world.record.disposition == "cancelled"
    assert world.record.answered_ms is None
    assert world.empty


def test_a_look_finds_that_the_caller_has_left():
    world = ringing()
    world.end(A, 127)
    world.told.clear()
    world.doubt()
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "unknown")
    assert world.empty


def test_a_person_can_end_a_call_that_rings():
    world = ringing()
    world.hear(HangupAsked(world.now_ms, "root"))
    world.hear_all()

    record = world.record
    assert (record.disposition, record.ended_by) == ("cancelled", "admin")
    assert Hangup(A, 31) in world.done
    assert world.empty


def test_a_person_who_asks_twice_ends_it_once():
    world = ringing()
    world.decide(HangupAsked(world.now_ms, "root"))
    world.decide(HangupAsked(world.now_ms, "eve"))
    world.work()
    world.hear_all()

    assert world.session.phase is Phase.OVER
    assert world.record.reason == "hung up by root"
    assert world.done.count(Hangup(b(), 16)) == 1


@pytest.mark.parametrize("begin", [dialling, ringing])
def test_a_talk_that_was_had_while_nobody_listened_was_answered(begin):
    """B's answer and the caller's end were both missed; B is still up."""
    world = begin()
    world.answer(b())
    world.end(A)
    world.told.clear()
    world.doubt()
    world.hear_all()

    assert (world.record.disposition, world.record.integrity) == ("answered", "recovered")
    assert world.record.talk_ms == 0
    assert world.empty
