"""Answers that were none, and answers that are denied, after Redis has lost data."""

from tests.machine.world import A, World, b, entered, talking


def test_a_caller_whom_the_dialplan_had_answered_has_not_talked_when_b_is_busy() -> None:
    """As a phone of an order: B is busy before anybody notices that Redis was emptied."""
    world = World(channels={A: "Up"})
    world.hear(entered(up=True))
    world.hear_all()
    world.ring(b())
    world.hear_all()
    world.end(b(), 17, 486)
    world.forget(world.heard.answered_ms(A))
    world.end(A)
    world.hear_all()
    assert world.record.disposition != "answered", world.record
    assert world.record.answered_ms is None


def test_a_talk_that_a_person_ended_was_one_whichever_side_is_told_first() -> None:
    """Both sides are hung up at once, and B's end happens to be told first; then Redis is emptied,
    and the caller's channel is still there for the moment."""
    world = talking()
    answered_ms = world.session.answered_ms
    world.now_ms += 600_000
    world.end(b(), soft=True)
    world.forget(world.heard.answered_ms(A))
    world.end(A)
    world.hear_all()
    assert world.record.disposition == "answered"
    assert world.record.answered_ms == answered_ms
