"""B's channel and the bridge are made, both legs go into it, then B is dialled, once."""

import pytest

from calls.machine import attempts, proofs
from calls.machine.commands import (
    AddToBridge,
    CreateBridge,
    CreateChannel,
    Dial,
    Hangup,
    LimitChannel,
    LookUp,
)
from calls.machine.events import ChannelAnswered, CommandFailed, Doubted, HangupAsked
from calls.machine.session import Phase
from tests.machine.world import BRIDGE, A, World, b, dialling, entered, plan, setting_up, target


def test_b_is_dialled_only_when_both_legs_are_in_the_bridge():
    world = dialling()

    kinds = [type(each) for each in world.done]
    assert kinds.index(AddToBridge) > max(kinds.index(CreateChannel), kinds.index(CreateBridge))
    assert kinds[-1] is Dial
    assert AddToBridge(BRIDGE, (A, b())) in world.done
    assert world.done[-1] == Dial(b(), 30)


@pytest.mark.parametrize("first", [CreateChannel, CreateBridge])
def test_whichever_of_channel_and_bridge_is_made_first_waits_for_the_other(first):
    world = setting_up()
    world.do(first)
    assert not any(isinstance(each, AddToBridge) for each in world.session.pending)

    world.do(CreateChannel, CreateBridge)
    assert any(isinstance(each, AddToBridge) for each in world.session.pending)


def test_both_legs_have_a_hard_limit_before_anything_rings():
    """B's counts from its creation, A's covers the ringing of every target there is."""
    world = dialling(
        found=plan(target(ring_timeout_s=20), target("carrier-b", ring_timeout_s=40), max_call_s=60)
    )

    (created,) = [each for each in world.done if isinstance(each, CreateChannel)]
    assert created.limit_s == 60 + 20
    assert LimitChannel(A, 60 + 20 + 40) in world.done
    assert world.done.index(LimitChannel(A, 120)) < world.done.index(Dial(b(), 20))


def test_an_attempt_whose_channel_cannot_be_made_is_followed_by_the_next():
    world = setting_up(found=plan(target(), target("carrier-b")))
    world.broken[CreateChannel] = "no such endpoint"
    world.do(CreateChannel)
    world.broken.clear()
    world.work()
    world.end(b(2), 17, 486)
    world.hear_all()

    first, second = world.record.attempts
    assert (first.outcome, first.reason) == ("failed", "no such endpoint")
    assert (second.trunk, world.record.disposition) == ("carrier-b", "busy")
    assert world.count(CreateBridge) == 1
    assert world.empty


def test_a_call_none_of_whose_channels_can_be_made_gives_congestion():
    world = World(broken={CreateChannel: "no such endpoint"})
    world.hear(entered())
    world.hear_all()

    record = world.record
    assert (record.disposition, record.q850_cause, record.ended_by) == ("congestion", 34, "switch")
    assert record.reason == "no such endpoint"
    assert Hangup(A, 34) in world.done
    assert world.empty


def test_a_channel_that_may_have_been_made_is_ended():
    world = setting_up()
    create = next(each for each in world.session.pending if isinstance(each, CreateChannel))
    world.channels[b()] = "Down"
    world.decide(CommandFailed(1_100, create, "the reply was lost", unknown=True))
    world.work()
    world.hear_all()

    assert Hangup(b(), 16) in world.done
    assert world.record.attempts[0].reason == "the reply was lost"
    assert world.empty


def test_a_call_whose_bridge_cannot_be_made_is_ended_with_a_temporary_failure():
    world = World(broken={CreateBridge: "500 Internal Server Error"})
    world.hear(entered())
    world.hear_all()

    record = world.record
    assert (record.disposition, record.q850_cause) == ("congestion", 41)
    assert record.reason == "500 Internal Server Error"
    assert world.dialled == []
    assert world.empty


def test_legs_that_cannot_be_joined_are_looked_at_before_a_trunk_is_blamed():
    """Here the caller had gone; the trunk is not tried again for nobody."""
    world = setting_up(found=plan(target(), target("carrier-b")))
    world.do(CreateChannel, CreateBridge)
    world.end(A, 127)
    world.told.clear()
    world.work()
    world.hear_all()

    assert world.record.disposition == "cancelled"
    assert world.count(CreateChannel) == 1
    assert world.empty


def test_legs_that_are_there_but_cannot_be_joined_use_up_the_attempt():
    world = World(found=plan(target(), target("carrier-b")))
    world.broken[AddToBridge] = "400 Channel not found"
    world.hear(entered())
    world.hear_all()

    assert [each.outcome for each in world.record.attempts] == ["failed", "failed"]
    assert world.record.reason == "400 Channel not found"
    assert world.dialled == []
    assert world.empty


def test_after_a_join_without_a_reply_the_call_is_looked_at_a_second_later():
    world = setting_up()
    world.do(CreateChannel, CreateBridge)
    add = next(each for each in world.session.pending if isinstance(each, AddToBridge))
    world.decide(CommandFailed(5_000, add, "no answer", unknown=True))

    assert world.session.phase is Phase.SETUP
    assert world.session.wake_ms == 6_000
    world.doubt()
    world.hear_all()
    assert world.record.attempts[0].reason == "no answer"
    assert world.empty


def test_a_b_leg_that_ends_before_it_was_dialled_ends_the_attempt():
    world = setting_up()
    world.do(CreateChannel)
    world.end(b(), 34)
    for event in world.told:
        world.decide(event)
    world.told.clear()
    world.work()
    world.hear_all()

    assert world.record.disposition == "congestion"
    assert world.dialled == []
    assert world.empty


def test_an_answer_that_overtakes_the_set_up_begins_the_talk():
    world = setting_up()
    world.do(CreateChannel, CreateBridge)
    world.channels[b()] = world.channels[A] = "Up"
    world.decide(ChannelAnswered(b(), 2_000))
    world.work()

    assert (world.session.phase, world.session.answered_ms) == (Phase.TALKING, 2_000)
    assert world.dialled == []


@pytest.mark.parametrize("which", [0, 1, 2], ids=["hangup", "left", "destroyed"])
def test_a_caller_who_leaves_during_the_set_up_is_dialled_for_no_more(which):
    world = setting_up()
    world.do(CreateChannel, CreateBridge)
    world.end(A, 127)
    world.decide(world.told[which])
    world.told.clear()
    world.work()
    world.hear_all()

    if world.session.phase is Phase.ENDING:
        world.doubt()
    assert world.dialled == []
    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "caller")
    assert world.empty


def test_a_person_can_end_a_call_during_its_set_up():
    world = setting_up()
    world.do(CreateChannel, CreateBridge)
    world.decide(HangupAsked(1_200, "root"))
    world.work()
    world.hear_all()

    assert (world.record.disposition, world.record.ended_by) == ("cancelled", "admin")
    assert world.dialled == []
    assert world.empty


def test_a_set_up_that_is_interrupted_goes_on_after_a_look():
    world = setting_up()
    world.do(CreateChannel)
    world.doubt()

    assert world.session.phase is Phase.DIALLING
    assert world.dialled == [b()]


def test_a_set_up_of_which_nothing_is_pending_any_more_is_given_up_after_a_look():
    world = setting_up()
    world.do(CreateChannel, CreateBridge, LimitChannel)
    add = next(each for each in world.session.pending if isinstance(each, AddToBridge))
    world.decide(CommandFailed(5_000, add, "", unknown=True))
    world.doubt()
    world.hear_all()

    (attempt,) = world.record.attempts
    assert attempt.reason == "the set-up of the attempt came to nothing"
    assert world.empty


def test_a_look_during_the_set_up_may_find_b_answered():
    world = setting_up()
    world.do(CreateChannel, CreateBridge, LimitChannel)
    world.channels[b()] = world.channels[A] = "Up"
    world.decide(Doubted(world.now_ms))
    world.do(LookUp)
    world.work()

    assert world.session.phase is Phase.TALKING
    assert world.session.recovered
    assert world.dialled == []


# --- B's channel vanishes, as one does that is created while no listener is connected ---


def vanished(**changes):
    """A call whose B leg went before it could be dialled."""
    world = setting_up(**changes)
    world.do(CreateChannel, CreateBridge)
    world.channels.pop(b())
    world.work()
    return world


def test_a_trunk_whose_channel_vanished_is_tried_again_a_little_later():
    world = vanished()
    assert world.session.phase is Phase.SETUP
    assert world.session.wake_ms <= world.now_ms + attempts.VANISHED_PAUSE_MS
    world.doubt()

    assert world.dialled == [b(2)]
    world.answer(b(2))
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "answered"
    assert [each.trunk for each in world.record.attempts] == ["carrier-a", "carrier-a"]
    assert "no listener was connected" in world.record.attempts[0].reason
    assert world.empty


def test_and_it_is_not_charged_with_it():
    before = setting_up()
    before.do(CreateChannel, CreateBridge)
    world = vanished()
    world.doubt()

    assert list(proofs.settled(before.session, world.session)) == []


class Inactive(World):
    """An Asterisk to whose application nobody is connected, for good."""

    def carry_out(self, command, *, again=False):
        outcome = super().carry_out(command, again=again)
        if isinstance(command, CreateChannel):
            self.channels.pop(command.channel_id)
        return outcome


def test_it_is_not_tried_for_ever():
    world = Inactive()
    world.hear(entered())
    for _ in range(100):
        if world.session.phase is Phase.OVER:
            break
        world.doubt()
        world.hear_all()

    assert world.record.disposition == "congestion"
    assert len(world.record.attempts) > 5
    assert world.dialled == []
    assert world.empty
