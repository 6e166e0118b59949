"""B is busy, declines, does not answer or cannot be reached: the caller hears the same, or another
trunk is tried where nobody has been disturbed yet."""

import pytest

from calls.machine.commands import CreateBridge, CreateChannel, Dial, Hangup, LookUp
from calls.machine.events import ChannelDestroyed, CommandFailed, Doubted
from calls.machine.session import Phase
from tests.machine.world import A, World, b, dialling, entered, plan, ringing, target


def two_trunks():
    return plan(target(), target("carrier-b"))


@pytest.mark.parametrize(
    ("cause", "sip_code", "heard", "disposition"),
    [
        (17, 486, 17, "busy"),
        (21, 603, 21, "rejected"),
        (19, 480, 19, "no_answer"),
        (1, 404, 1, "unallocated"),
        (34, 503, 34, "congestion"),
        (58, 488, 58, "media"),
    ],
)
def test_the_caller_is_hung_up_with_what_b_answered(cause, sip_code, heard, disposition):
    world = dialling()
    world.end(b(), cause, sip_code)
    world.hear_all()

    assert Hangup(A, heard) in world.done
    record = world.record
    assert (record.disposition, record.ended_by) == (disposition, "callee")
    assert (record.q850_cause, record.sip_code) == (cause, sip_code)
    assert world.empty


def test_congestion_on_one_trunk_goes_on_with_the_next_in_the_same_bridge():
    world = dialling(found=two_trunks())
    world.end(b(1), 34, 503)
    world.hear_all()
    assert (world.session.phase, world.session.leg.trunk) == (Phase.DIALLING, "carrier-b")

    world.answer(b(2))
    world.hear_all()
    assert world.session.phase is Phase.TALKING
    assert world.dialled == [b(1), b(2)]
    assert world.count(CreateBridge) == 1


def test_a_callee_who_has_rung_is_not_rung_again_by_another_trunk():
    world = ringing(found=two_trunks())
    world.end(b(), 34, 503)
    world.hear_all()

    assert world.dialled == [b()]
    assert Hangup(A, 34) in world.done


def test_early_media_counts_as_having_been_reached():
    world = dialling(found=two_trunks())
    world.progress(b())
    world.end(b(), 34, 503)
    world.hear_all()

    assert world.dialled == [b()]
    assert world.record.progress_ms is not None


def test_a_busy_callee_is_not_tried_by_another_trunk():
    world = dialling(found=two_trunks())
    world.end(b(), 17, 486)
    world.hear_all()

    assert world.dialled == [b()]
    assert world.record.disposition == "busy"


def test_a_trunk_that_says_nothing_until_the_ring_timeout_is_followed_by_the_next():
    world = dialling(found=two_trunks())
    ring_timeout(world)

    assert world.dialled == [b(1), b(2)]


def test_a_phone_that_rings_until_the_ring_timeout_gives_no_answer():
    world = ringing(found=two_trunks())
    ring_timeout(world)

    assert world.dialled == [b()]
    record = world.record
    assert (record.disposition, record.ended_by) == ("no_answer", "switch")
    assert Hangup(A, 19) in world.done
    assert record.attempts[0].reason == "no answer within 30 s"


def ring_timeout(world):
    """What `dial?timeout=N` brings: a soft hang-up, then cause 19 whether or not it rang."""
    world.end(b(), 19, 480, soft=True)
    world.hear_all()


def test_a_late_end_of_a_former_attempt_does_not_end_the_call():
    world = dialling(found=two_trunks())
    world.end(b(1), 34, 503)
    world.hear_all()
    world.hear(ChannelDestroyed(b(1), world.now_ms, 17, 486))

    assert world.session.phase is Phase.DIALLING
    assert world.session.legs[0].sip_code == 486


def test_a_failed_dial_is_looked_into_before_another_trunk_is_tried():
    world = World(found=two_trunks())
    world.broken[Dial] = "409 Channel not in Stasis application"
    world.hear(entered())
    world.hear_all()

    kinds = [type(each) for each in world.done]
    assert kinds.index(LookUp) < len(kinds) - 1 - kinds[::-1].index(CreateChannel)
    assert [each.outcome for each in world.record.attempts] == ["failed", "failed"]
    assert world.record.disposition == "congestion"
    assert world.empty


def test_a_dial_without_a_reply_waits_a_second_for_its_effect():
    world = dialling_without_a_reply()
    asked_ms = world.session.wake_ms

    world.ring(b())
    world.hear_all()
    world.now_ms = asked_ms
    world.doubt()

    assert world.session.phase is Phase.DIALLING
    assert world.dialled == [b()]


def test_a_dial_of_which_nothing_is_heard_is_given_up_and_never_repeated():
    world = dialling_without_a_reply(found=two_trunks())
    world.doubt()

    assert world.session.leg.number == 2
    assert world.dialled.count(b(1)) == 1
    assert Hangup(b(1), 16) in world.done


def dialling_without_a_reply(**changes):
    """B was dialled, the reply and Asterisk's word of it are lost."""
    world = World(**changes)
    failed = CommandFailed(0, Dial(b(), 30), "no answer within 2 s", unknown=True)
    world.broken[Dial] = failed
    world.hear(entered())
    world.broken.clear()
    world.dialled.append(b())
    assert world.session.phase is Phase.DIALLING
    return world


def test_a_look_finds_the_end_of_b_that_was_not_heard():
    world = ringing()
    world.end(b(), 17, 486)
    world.told.clear()
    world.doubt()
    world.hear_all()

    record = world.record
    assert (record.disposition, record.integrity) == ("no_answer", "recovered")
    assert record.ended_by == "unknown"
    assert Hangup(A, 19) in world.done
    assert world.empty


def test_a_look_finds_the_answer_that_was_not_heard():
    world = ringing()
    world.answer(b())
    world.told.clear()
    world.doubt()

    assert (world.session.phase, world.session.recovered) == (Phase.TALKING, True)


def test_a_look_finds_the_ringing_that_was_not_heard():
    world = dialling()
    world.ring(b())
    world.told.clear()
    world.hear(Doubted(world.now_ms))

    assert world.session.leg.rang
    assert world.session.phase is Phase.DIALLING


def test_a_ring_timeout_that_asterisk_did_not_keep_is_kept_by_a_look():
    world = ringing(found=two_trunks())
    for _ in range(3):
        world.doubt()
    world.hear_all()

    record = world.record
    assert (record.disposition, record.ended_by) == ("no_answer", "switch")
    assert record.attempts[0].reason == "no answer within 30 s"
    assert world.dialled == [b()]
    assert world.empty
