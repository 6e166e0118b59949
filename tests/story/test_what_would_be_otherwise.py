"""What two courses of a call differ in is named, one thing after the other. Pure."""

from dataclasses import replace

from msgspec import structs

from calls.machine.commands import AddToBridge, Hangup
from calls.machine.events import CommandDone
from calls.machine.journal import Unread
from calls.story.compare import Difference, of_commands, of_fields, said
from calls.story.retrace import Course
from tests.machine.world import BRIDGE, CALL, A, b
from tests.story.journals import answered, begun


def test_the_same_code_does_the_same():
    assert of_commands(answered().course) == ()


def test_what_was_done_and_would_not_be_asked_for_is_told():
    course = answered().course
    other = CommandDone(5, Hangup("1763900000.7", 16))
    last = replace(course.decisions[-1], event=other)
    (found,) = of_commands(replace(course, decisions=(*course.decisions[:-1], last)))

    assert str(found) == f"at event {last.number}: then hangup 1763900000.7 16, now nothing"


def test_a_call_that_would_go_on_is_told_with_what_it_would_still_do():
    course = begun().course
    session = structs.replace(course.session, pending=(AddToBridge(BRIDGE, (A, b())),))
    last = replace(course.decisions[-1], after=session)
    found = of_commands(replace(course, decisions=(*course.decisions[:-1], last)))

    assert found == (
        Difference("at the end", "", f"add to bridge {BRIDGE} {A} {b()}"),
        Difference("at the end", "over", "dialling"),
    )


def test_a_journal_without_a_beginning_is_told():
    (found,) = of_commands(Course(CALL, ()))
    assert found.what == "the beginning"


def test_an_entry_that_cannot_be_read_is_told():
    unread = Unread('["unheard of"]')
    found = of_commands(replace(answered().course, unread=(unread,)))

    assert [(each.what, each.now) for each in found] == [("an entry", "unreadable")]


def test_fields_of_the_record_are_compared_as_far_as_it_had_them():
    then = {"trunk": "a", "cause": None, "talk_ms": 5}
    now = {"trunk": "b", "cause": None, "talk_ms": 5, "mos": 4.4}

    assert of_fields(then, now) == (Difference("trunk", "a", "b"),)
    assert of_fields({"cause": 16}, {}) == (Difference("cause", "16", ""),)


def test_a_command_is_said_in_words():
    assert said(Hangup(b(), 16)) == f"hangup {b()} 16"
