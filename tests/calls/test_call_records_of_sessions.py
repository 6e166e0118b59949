"""A finished session's record: times in the order of things, figures that add up, every attempt."""

from calls.commands import CreateChannel
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
    world = World(found=plan(target(skipped="full"), target("carrier-b"), target("carrier-c")))
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
