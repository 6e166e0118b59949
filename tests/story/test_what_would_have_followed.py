"""A call forked at any of its events goes on as its table says, to its end or until it waits."""

import pytest

from calls.machine.commands import CreateChannel, Dial
from calls.machine.record import call_record
from calls.machine.session import Phase
from calls.story.fork import What, choices, fork
from tests.machine.world import b, plan, rule, target
from tests.story.journals import answered, begun

TWO = plan(target("carrier-a"), target("carrier-b"))


def at(course, signal):
    return next(each.number for each in course.decisions if each.signal == signal)


def commands(forked):
    return [command for each in forked.decisions for command in each.asks]


def test_had_the_first_trunk_answered_503_the_second_would_have_been_dialled():
    course = answered(found=TWO).course
    forked = fork(course, at(course, "b ringing"), ["503"])

    assert forked.session.phase is Phase.DIALLING
    assert forked.session.leg.trunk == "carrier-b"
    assert [each.channel_id for each in commands(forked) if isinstance(each, CreateChannel)] == [
        b(2)
    ]
    assert any(isinstance(each, Dial) for each in commands(forked))


def test_one_answer_may_follow_another():
    course = answered(found=TWO).course
    forked = fork(course, at(course, "b ringing"), ["503", "486"])

    assert forked.is_over
    record = call_record(forked.session)
    assert (record.disposition, record.sip_code_heard) == ("busy", 486)


@pytest.mark.parametrize(
    ("key", "disposition", "ended_by"),
    [
        ("486", "busy", "callee"),
        ("503", "congestion", "callee"),
        (What.TIMES_OUT, "timeout", "switch"),
        (What.CALLER_LEAVES, "cancelled", "caller"),
        (What.ASKED, "cancelled", "admin"),
        (What.SILENCE, "cancelled", "unknown"),
    ],
)
def test_other_ends_of_a_call_that_was_answered(key, disposition, ended_by):
    course = answered().course
    forked = fork(course, at(course, "b ringing"), [key])

    assert forked.is_over
    record = call_record(forked.session)
    assert (record.disposition, record.ended_by) == (disposition, ended_by)


def test_a_command_that_fails():
    course = answered().course
    forked = fork(course, at(course, "done create_channel"), [What.COMMAND_FAILS])

    assert forked.is_over
    assert call_record(forked.session).attempts[0].outcome == "failed"


def test_a_limit_that_is_reached():
    course = answered(rules=(rule(),)).course
    forked = fork(course, at(course, "reserved"), [What.LIMIT_REACHED])

    assert forked.is_over
    assert call_record(forked.session).disposition == "limited"


def test_what_cannot_happen_now_is_passed_over():
    course = answered().course
    number = at(course, "b ringing")

    assert fork(course, number, ["no such thing"]).decisions == ()
    assert fork(course, 0, ["486"]) is None
    assert fork(course, 1, ["486"]) is None, "nothing was before the beginning"


def test_every_choice_at_every_event_leads_somewhere():
    course = answered(found=TWO, rules=(rule(),)).course
    for decision in course.decisions[1:]:
        for choice in choices(decision.before):
            forked = fork(course, decision.number, [choice.key])
            assert forked.decisions, (decision.signal, choice)
            assert forked.is_over or not forked.session.pending, (decision.signal, choice)


def test_a_call_that_is_over_has_no_other_way():
    assert choices(answered().session) == ()
    assert begun().session.phase is Phase.DIALLING
