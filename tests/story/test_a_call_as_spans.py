"""A call's journal as spans for OpenTelemetry: when what happened, and nobody's number."""

from calls.machine.commands import CreateChannel
from calls.story.spans import ROOT, spans, trace_id
from tests.machine.world import CALL, entered
from tests.story.journals import BEGAN_MS, Noting, answered, begun, over, refused_by_carrier


def by_name(course):
    return {span.name: span for span in spans(course)}


def test_the_root_is_the_call_and_all_else_is_beneath_it():
    course = answered().course
    root, *others = spans(course)

    assert (root.name, root.parent) == (ROOT, None)
    assert (root.began_ms, root.ended_ms) == (course.record.started_ms, course.record.ended_ms)
    assert root.attributes["ringmaster.disposition"] == "answered"
    assert root.attributes["ringmaster.call_id"] == CALL
    assert not root.failed
    assert {span.parent for span in others} == {ROOT}
    assert len({span.key for span in (root, *others)}) == len(others) + 1


def test_talk_begins_with_the_answer_and_ends_with_the_call():
    course = answered(talk_ms=5_000).course
    talk = by_name(course)["talk"]
    assert (talk.began_ms, talk.ended_ms) == (course.record.answered_ms, course.record.ended_ms)
    assert talk.ended_ms - talk.began_ms >= 5_000


def test_an_attempt_says_its_trunk_when_it_rang_and_when_it_was_answered():
    course = answered().course
    (told,) = course.record.attempts
    span = by_name(course)[f"attempt {told.trunk}"]

    assert span.began_ms == told.started_ms
    assert span.attributes["ringmaster.attempt"] == 1
    assert ("ringing", told.ringing_ms) in span.events
    assert ("answered", told.answered_ms) in span.events
    assert not span.failed


def test_requests_stand_from_their_asking_to_their_outcome():
    found = spans(answered().course)
    requests = {span.name for span in found if span.key.startswith("decision")}
    assert {"create_channel", "create_bridge", "dial"} <= requests
    assert all(span.began_ms <= span.ended_ms for span in found)


def test_a_refused_call_is_failed_and_says_by_what():
    course = refused_by_carrier(34, 503).course
    root, *_ = spans(course)

    assert root.failed == "congestion"
    assert root.attributes["sip.response_code"] == 503
    assert "talk" not in by_name(course)


def test_a_call_that_is_up_has_none_yet():
    assert spans(begun().course) == ()


def test_no_number_is_told():
    course = answered().course
    record = course.record
    numbers = {record.caller_received, record.callee_received, record.callee_normalised}
    told = repr([(span.name, span.attributes, span.events) for span in spans(course)])
    assert numbers - {""}
    assert not [number for number in numbers - {""} if number in told]


def test_no_sentence_of_a_failure_tells_a_number():
    """Asterisk's refusal names the endpoint, and the number in it."""
    why = "Asterisk refused to create PJSIP/33123@carrier-a: 500 Allocation failed"
    world = Noting(now_ms=BEGAN_MS, broken={CreateChannel: why})
    world.hear(entered(BEGAN_MS, dialled="33123"))
    course = over(world).course
    (attempt,) = course.record.attempts
    assert "33123" in attempt.reason

    found = spans(course)

    assert "33123" not in repr(found)
    assert by_name(course)[f"attempt {attempt.trunk}"].failed == "failed"


def test_ids_are_the_same_whoever_tells_the_call():
    ids = [span.span_id(CALL) for span in spans(answered().course)]
    assert ids == [span.span_id(CALL) for span in spans(answered().course)]
    assert len(set(ids)) == len(ids)
    assert 0 < trace_id(CALL) < 2**128
    assert trace_id(CALL) != trace_id(CALL + "1")
    assert all(0 < each < 2**64 for each in ids)
