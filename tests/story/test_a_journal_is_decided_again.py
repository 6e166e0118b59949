"""Deciding a journal again gives the call back: each state, each command, and the record."""

from calls.machine.commands import (
    AddToBridge,
    Answer,
    CreateBridge,
    CreateChannel,
    Dial,
    LimitChannel,
)
from calls.machine.events import ChannelLeft
from calls.machine.journal import MOST_PAGES, Entry, Page, Unread
from calls.machine.session import Phase
from calls.story.retrace import retrace
from tests.machine.world import CALL, A, b
from tests.story.journals import answered, begun


def test_it_ends_where_the_call_ended():
    world = answered()
    course = world.course

    assert course.is_over
    assert course.record == world.record
    assert course.unread == ()


def test_a_live_call_is_where_it_is():
    world = begun()

    assert world.course.session == world.session
    assert world.course.record is None


def test_each_decision_says_what_it_asked_for_and_by_which_rule():
    decisions = answered().course.decisions
    by_signal = {each.signal: each for each in decisions}

    assert by_signal["entered"].rule == "begin"
    assert by_signal["route chosen"].rule == "route"
    assert [type(each) for each in by_signal["route chosen"].asks] == [
        CreateChannel,
        CreateBridge,
        LimitChannel,
    ]
    assert [type(each) for each in by_signal["done create_bridge"].asks] == [AddToBridge]
    assert by_signal["done add_to_bridge"].asks == (Dial(b(), 30),)
    assert by_signal["b ringing"].rule == ""
    assert by_signal["b answered"].after.phase is Phase.TALKING


def test_what_an_event_made_pointless_is_taken_back():
    world = begun()
    world.ring(b())
    world.answer(b())
    answer_of_b, answer_of_a = world.told[1:]
    world.told.clear()
    world.notebook.note(answer_of_b)
    world.notebook.note(answer_of_a)
    last, before = world.course.decisions[:-3:-1]

    assert before.asks == (Answer(A),)
    assert last.takes_back == (Answer(A),)
    assert last.rule == ""


def test_what_cannot_be_read_is_told_and_the_rest_is_decided():
    world = answered()
    pages = list(world.read_pages())
    pages.insert(1, Page("", 0, (Unread('["unheard of"]'),)))
    course = retrace(CALL, pages)

    assert course.record == world.record
    assert course.unread == (Unread('["unheard of"]'),)


def test_a_journal_without_its_beginning_is_no_call():
    course = retrace(CALL, [Page("w1.1", 1, (Entry(ChannelLeft("a", 1)),))])

    assert course.session is None
    assert len(course.unread) == 1


def test_a_journal_that_was_cut_says_so():
    pages = [*answered().read_pages(), *([Page("w1.1", 1, ())] * MOST_PAGES)]

    assert "the most that are kept" in retrace(CALL, pages).unread[0].text
