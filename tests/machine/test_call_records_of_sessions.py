"""A finished session's record: times in the order of things, figures that add up, every attempt."""

from calls.machine.commands import CreateChannel
from calls.machine.events import ChannelDestroyed, ChannelDialled, ChannelLeft
from calls.routing.choice import Refusal
from calls.routing.targets import Skipped
from cdr.record import Disposition
from tests.machine.world import A, World, b, dialling, entered, plan, ringing, talking, target


def ended(world, channel=A, cause=None):
    world.end(channel, cause)
    world.hear_all()
    return world.record


def test_the_figures_of_an_answered_call():
    world = dialling()
    started_ms = world.session.leg.started_ms
    world.progress(b())
    progress_ms = world.now_ms
    world.ring(b())
    ringing_ms = world.now_ms
    world.now_ms += 4_000
    world.answer(b())
    answered_ms = world.now_ms
    world.hear_all()
    world.now_ms += 59_990
    record = ended(world)

    assert record.pdd_ms == progress_ms - started_ms
    assert record.ring_ms == answered_ms - ringing_ms
    assert record.talk_ms == record.ended_ms - answered_ms
    assert record.billsec == 60 + (record.talk_ms > 60_000)
    assert record.duration_ms == record.ended_ms - 1_000
    assert record.integrity == "complete"


def test_a_call_that_only_rang_has_no_talk_but_a_ring():
    world = ringing()
    ringing_ms = world.session.leg.ringing_ms
    world.now_ms += 8_000
    record = ended(world, cause=127)

    assert (record.talk_ms, record.billsec, record.answered_ms) == (0, 0, None)
    assert record.ring_ms == record.ended_ms - ringing_ms


def test_a_call_that_never_rang_has_neither():
    record = ended(dialling(), b(), 17)

    assert (record.pdd_ms, record.ring_ms, record.talk_ms) == (None, None, 0)


def test_a_talk_of_exactly_whole_seconds_is_not_rounded_up():
    world = talking()
    world.now_ms = world.session.answered_ms + 60_000 - 10
    record = ended(world)

    assert (record.talk_ms, record.billsec) == (60_000, 60)


def test_every_attempt_is_recorded_in_the_order_it_was_made():
    world = World(
        found=plan(target(skipped=Skipped.FULL), target("carrier-b"), target("carrier-c"))
    )
    world.hear(entered())
    world.end(b(2), 34, 503)
    world.hear_all()
    world.ring(b(3))
    world.answer(b(3))
    world.hear_all()
    record = ended(world)

    assert [(each.number, each.trunk, each.outcome) for each in record.attempts] == [
        (1, "carrier-a", "skipped_full"),
        (2, "carrier-b", "dialled"),
        (3, "carrier-c", "dialled"),
    ]
    assert [each.sip_code for each in record.attempts] == [None, 503, 200]
    assert [each.channel_id for each in record.attempts] == ["", b(2), b(3)]
    assert record.trunk == "carrier-c"
    assert record.pdd_ms == record.attempts[2].pdd_ms


def test_what_could_not_be_created_failed_and_was_not_dialled():
    world = World(broken={CreateChannel: "no such endpoint"})
    world.hear(entered())
    world.hear_all()

    (attempt,) = world.record.attempts
    assert (attempt.outcome, attempt.sip_code) == ("failed", None)


def test_a_record_never_ends_before_it_begins():
    """Asterisk's clock may be behind that of the worker which looked."""
    world = World()
    world.hear(entered(at_ms=10_000_000))
    record = ended(world)

    assert record.duration_ms == 0


def test_hostile_names_are_kept_as_they_came():
    name = '=cmd|"/C calc"!A0<script>\u202e'
    world = World()
    world.hear(entered(caller_name=name, caller_number="'; DROP TABLE"))
    record = ended(world)

    assert (record.caller_name, record.caller_received) == (name, "'; DROP TABLE")


SOUND = "lp=0;rxjitter=0.0;rxcount=100;rtt=0.0;rxmes=93.2"


def test_the_legs_sip_call_ids_and_sound_are_in_the_record():
    world = World()
    world.hear(entered(sip_call_id="of-a@alice"))
    world.told.clear()
    world.hear(ChannelDialled(b(), world.now_ms, "of-b@ringmaster"))
    world.answer(b())
    world.hear_all()
    world.hear(ChannelDestroyed(b(), world.now_ms + 10, 16, 200, SOUND, "of-b@ringmaster"))
    world.hear(ChannelLeft(A, world.now_ms + 10, SOUND))
    record = world.record

    assert record.sip_call_id == "of-a@alice"
    assert [each.sip_call_id for each in record.attempts] == ["of-b@ringmaster"]
    assert (record.caller_mos, record.callee_mos) == (4.41, 4.41)
    assert (record.caller_loss_percent, record.callee_rtt_ms) == (0.0, None)


def test_a_call_id_first_told_at_the_end_is_kept_too():
    world = dialling()
    world.hear(ChannelDestroyed(b(), world.now_ms, 17, 486, "", "of-b@ringmaster"))
    world.hear_all()

    assert world.record.attempts[0].sip_call_id == "of-b@ringmaster"


def test_an_answered_caller_heard_200():
    assert ended(talking()).sip_code_heard == 200


def test_a_caller_who_gave_up_heard_487():
    assert ended(ringing()).sip_code_heard == 487


def test_a_caller_hears_what_the_carrier_said_as_asterisk_passes_it_on():
    world = dialling()
    world.end(b(), 21, 603)
    world.hear_all()

    assert (world.record.sip_code, world.record.sip_code_heard) == (603, 403)


def test_a_refused_caller_heard_the_code_of_the_cause_given():
    world = World(found=Refusal(Disposition.NO_ROUTE, 1, "no route"))
    world.hear(entered())
    world.hear_all()

    assert (world.record.sip_code, world.record.sip_code_heard) == (None, 404)


def test_nobody_knows_what_a_caller_heard_whose_end_was_missed():
    world = ringing()
    world.end(A)
    world.told.clear()
    world.doubt()
    world.hear_all()

    assert (world.record.ended_by, world.record.sip_code_heard) == ("unknown", None)
