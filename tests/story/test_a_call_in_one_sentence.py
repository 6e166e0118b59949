"""The sentence on top of a story: true for every way a call can go, and for one under way."""

import pytest
from msgspec.structs import replace

from calls.limits.rules import Skip
from calls.machine.events import HangupAsked, LimitRefused, Reserved
from calls.machine.record import call_record
from calls.machine.session import Phase
from calls.routing.choice import Refusal
from calls.routing.targets import Skipped
from calls.story.sentence import seconds, sentence
from cdr.record import Disposition
from tests.machine.world import A, b, ordered, plan, routing, rule, target
from tests.story.journals import BEGAN_MS, Noting, answered, begun, over, refused_by_carrier

THREE = plan(target("carrier-a"), target("carrier-b"), target("carrier-c"))


def said(world, now_ms=None):
    heard = call_record(world.session).sip_code_heard if world.session.ended_by else None
    return sentence(world.session, now_ms or world.now_ms, heard)


def test_an_answered_call():
    assert said(answered()) == (
        "Trunk carrier-a answered after 4.0 s; they talked 5.0 s, then the caller hung up."
    )


def test_one_trunk_full_another_fails_a_third_rings():
    full = Reserved(0, (Skip("carrier-a", Skipped.FULL, "trunk carrier-a is full"),))
    world = begun(found=THREE, rules=(rule(),), answers=[full])
    world.now_ms += 400
    world.end(b(2), 34, 503)
    world.hear_all()
    world.ring(b(3))
    world.hear_all()
    world.now_ms += 12_000
    world.end(A, 127)
    over(world)

    assert said(world) == (
        "Trunk carrier-a was full, then carrier-b answered 503 after 0.4 s, then carrier-c rang "
        "12 s; the caller hung up."
    )


def test_a_busy_callee():
    assert said(over(refused_by_carrier(17, 486))) == (
        "Trunk carrier-a answered 486 after 0.4 s; the caller heard 486."
    )


def test_a_callee_who_does_not_answer():
    world = begun()
    world.ring(b())
    world.hear_all()
    world.now_ms += 30_000
    world.end(b(), soft=True)
    over(world)

    assert said(world) == "Trunk carrier-a rang 30 s without an answer; the caller heard 480."


def test_a_trunk_without_any_response():
    world = begun()
    world.now_ms += 30_000
    world.end(b(), soft=True)
    over(world)

    assert said(world) == "Trunk carrier-a did not respond for 30 s; the caller heard 408."


@pytest.mark.parametrize(
    ("disposition", "cause", "reason", "end"),
    [
        (Disposition.NO_ROUTE, 1, "no route of account acme has a prefix of 7", "404"),
        (Disposition.BLOCKED, 21, "blocklist entry 7 of all accounts", "403"),
        (Disposition.CONGESTION, 41, "the routing database does not answer", "603"),
    ],
)
def test_a_refused_call(disposition, cause, reason, end):
    world = begun(found=Refusal(disposition, cause, reason))
    over(world)

    assert said(world) == f"The call was refused ({reason}) and the caller heard {end}."


def test_a_call_over_a_limit():
    world = begun(rules=(rule(),), answers=[LimitRefused(0, "account acme: 3 concurrent")])
    over(world)

    assert said(world) == (
        "The call was refused (the limit is reached: account acme: 3 concurrent) and the caller "
        "heard 480."
    )


def test_a_call_that_its_limit_ended():
    world = begun()
    world.answer(b())
    world.hear_all()
    world.doubt()
    over(world)

    assert said(world).endswith(
        "they talked 60 min, then the call was ended: the hard limit of 3600 s was reached."
    )


def test_a_call_that_somebody_hung_up():
    world = begun()
    world.answer(b())
    world.hear_all()
    world.hear(HangupAsked(world.now_ms + 1_000, "root"))
    over(world)

    assert said(world).endswith("they talked 1.0 s, then the call was ended: hung up by root.")


def test_a_trunk_that_could_not_be_called():
    from calls.machine.commands import CreateChannel

    world = Noting(now_ms=BEGAN_MS, broken={CreateChannel: "no such endpoint there"})
    world = begun(broken={CreateChannel: "no such endpoint there"})
    over(world)

    assert said(world) == (
        "Trunk carrier-a could not be called (no such endpoint there); the caller heard 503."
    )


def test_calls_under_way():
    world = begun()
    assert said(world, world.now_ms + 900) == (
        "Trunk carrier-a has been called for 0.9 s; the caller waits."
    )
    world.ring(b())
    world.hear_all()
    assert said(world, world.now_ms + 3_000) == (
        "Trunk carrier-a has rung for 3.0 s; the caller waits."
    )
    world.answer(b())
    world.hear_all()
    assert said(world, world.now_ms + 200_000).endswith("they have talked for 3 min 20 s.")


def test_a_call_that_waits_for_its_route():
    session = routing().session

    assert sentence(session, session.started_ms + 700) == (
        "The call has waited 0.7 s for its route."
    )


def ordered_call(phone="alice", **changes):
    world = Noting(now_ms=BEGAN_MS, channels={}, **changes)
    world.hear(ordered(BEGAN_MS, phone, trunk="" if phone else "carrier-a"))
    world.hear_all()
    return world


def at_the_phone():
    world = ordered_call()
    world.now_ms += 2_000
    world.ring(A)
    world.hear_all()
    world.now_ms += 3_000
    world.pick_up()
    world.hear_all()
    return world


def test_an_ordered_call_while_its_phone_is_called():
    world = ordered_call()
    assert said(world, BEGAN_MS + 400) == "Phone alice was called for token crm, 0.4 s ago."
    world.ring(A)
    world.hear_all()
    assert said(world, world.now_ms + 4_000) == (
        "Phone alice was called for token crm and has rung for 4.0 s."
    )


def test_an_ordered_call_that_is_answered():
    world = at_the_phone()
    world.now_ms += 4_000
    world.answer(b())
    world.hear_all()
    world.now_ms += 5_000
    world.end(b())

    assert said(over(world)) == (
        "Phone alice was called for token crm and answered after 5.0 s; trunk carrier-a answered "
        "after 4.0 s; they talked 5.0 s, then the callee hung up."
    )


def test_an_ordered_call_whose_phone_is_busy():
    world = ordered_call()
    world.end(A, 17, 486)

    assert said(over(world)) == (
        "Ordered by token crm; phone alice was busy, so nobody was called."
    )


def test_an_ordered_call_whose_callee_is_busy():
    world = at_the_phone()
    world.now_ms += 400
    world.end(b(), 17, 486)

    assert said(over(world)) == (
        "Phone alice was called for token crm and answered after 5.0 s; trunk carrier-a answered "
        "486 after 0.4 s; the call ended: busy."
    )


def test_an_ordered_call_that_is_refused_once_the_phone_is_answered():
    refusal = Refusal(Disposition.NO_ROUTE, 1, "no route for it", "acme", "33123")
    world = ordered_call(found=refusal)
    world.pick_up()

    assert said(over(world)) == (
        "Phone alice was called for token crm and answered after 0.0 s; the call was refused "
        "(no route for it)."
    )


def test_a_test_call():
    world = ordered_call(phone="")
    world.now_ms += 1_000
    world.answer(b())
    world.hear_all()
    world.now_ms += 5_000
    world.end(b())

    assert said(over(world)) == (
        "Test call by token crm: nobody calls, and who answers hears a sound; trunk carrier-a "
        "answered after 1.0 s; they talked 5.0 s, then the callee hung up."
    )


def test_there_is_a_sentence_for_every_phase():
    for phase in Phase:
        assert sentence(replace(routing().session, phase=phase), 2_000).endswith(".")


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (-5, "0.0 s"),
        (420, "0.4 s"),
        (9_949, "9.9 s"),
        (9_950, "10 s"),
        (119_000, "119 s"),
        (120_000, "2 min"),
        (200_000, "3 min 20 s"),
        (7_200_000, "2 h 0 min"),
    ],
)
def test_spans_in_words(ms, words):
    assert seconds(ms) == words
