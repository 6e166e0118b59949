"""What a call heard and did comes back from its journal, from another version's too."""

import typing
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.machine import events
from calls.machine.commands import Hangup
from calls.machine.events import CallRefused, ChannelLeft, CommandDone, Doubted, RouteChosen
from calls.machine.journal import Entry, Notebook, Page, Unread, encode_page, read
from calls.routing.choice import Refusal
from calls.routing.steps import Mark, Step, Topic
from cdr.record import Disposition
from tests.examples import examples
from tests.machine.strategies import instance_of
from tests.machine.world import plan

EVENTS = typing.get_args(events.MailboxEvent) + typing.get_args(events.Result)
PASSED_OVER = Step(Topic.PREFIX, "331", Mark.PASSED_OVER, "no route")
FOUND = Step(Topic.PREFIX, "33", Mark.FOUND, "route 33 (all) is the route")


def page_of(*entries):
    """A page as it stands in Redis, of entries written out by hand."""
    return orjson.dumps([1, "w.1", 7, list(entries)])


def only_entry(journal):
    ((entry,),) = (page.entries for page in read(journal))
    return entry


@settings(max_examples=examples(200))
@given(st.one_of(*(instance_of(kind) for kind in EVENTS if kind is not events.Listed)))
def test_every_event_comes_back(event):
    assert read(encode_page("w.1", 7, [(event, 5)])) == (Page("w.1", 7, (Entry(event, 5),)),)


def test_what_a_look_found_comes_back():
    listed = events.Listed(3, {"a": "Up", "a.b1": "Ringing"}, bridge=True)

    assert only_entry(encode_page("w.1", 7, [(listed, 2)])) == Entry(listed, 2)


@pytest.mark.parametrize("found", ["plan", "refusal"])
def test_the_steps_to_a_route_are_kept_but_not_every_prefix_without_one(found):
    steps = (PASSED_OVER, FOUND)
    if found == "plan":
        event = RouteChosen(1, replace(plan(), steps=steps))
    else:
        event = CallRefused(1, Refusal(Disposition.NO_ROUTE, 1, "no route", steps=steps))

    entry = only_entry(encode_page("w.1", 7, [(event, 0)]))

    assert isinstance(entry, Entry)
    assert getattr(entry.event, found).steps == (FOUND,)


def test_a_notebook_hands_over_each_event_once():
    notebook = Notebook("w.1", 7)
    notebook.note(Doubted(1))
    notebook.note(CommandDone(3, Hangup("a", 16)), asked_ms=2)
    first = notebook.page()
    notebook.note(Doubted(4))
    journal = b"\n".join((first, notebook.page()))

    assert notebook.page() == b""
    assert read(journal) == (
        Page("w.1", 7, (Entry(Doubted(1)), Entry(CommandDone(3, Hangup("a", 16)), 2))),
        Page("w.1", 7, (Entry(Doubted(4)),)),
    )


@pytest.mark.parametrize(
    "entry",
    [
        ["unheard of", 0, 1],
        ["left", 0],
        ["done", 0, 1, ["unheard of"], False],
        ["done", 0, 1, "no command", False],
        ["route chosen", 0, 1, {"account": "acme"}, None, ""],
        "no list",
        17,
        None,
        [],
    ],
)
def test_what_cannot_be_read_stays_in_its_place(entry):
    journal = page_of(["doubted", 0, 1], entry, ["doubted", 0, 2])

    (page,) = read(journal)

    assert page.entries == (
        Entry(Doubted(1)),
        Unread(orjson.dumps(entry).decode()),
        Entry(Doubted(2)),
    )


def test_fields_of_a_newer_version_are_left_out():
    newer = ["left", 0, "a", 1, "", 0, 0, False, "surplus"]

    assert only_entry(page_of(newer)) == Entry(ChannelLeft("a", 1))


def test_fields_that_an_older_version_did_not_write_have_their_defaults():
    assert only_entry(page_of(["hangup", 0, "a", 1])) == Entry(events.HangupRequested("a", 1))


def test_a_newer_target_rule_or_plan_is_read_by_the_fields_that_are_known():
    text = encode_page("w.1", 7, [(RouteChosen(1, plan()), 0)]).decode()
    newer = text.replace('"trunk":', '"colour":"red","trunk":').replace(
        '"account":', '"planet":"earth","account":'
    )
    assert newer.count("red") == newer.count("earth") == 1

    assert only_entry(newer.encode()) == Entry(RouteChosen(1, plan()))


@pytest.mark.parametrize("line", [b"\xff", b"{}", b"nonsense", b"[1]", b'[1,"w",null,[]]', b"3"])
def test_a_page_that_cannot_be_read_costs_no_other(line):
    journal = b"\n".join((page_of(["doubted", 0, 1]), line, page_of(["doubted", 0, 2])))

    pages = read(journal)

    assert [page.entries for page in pages[::2]] == [(Entry(Doubted(1)),), (Entry(Doubted(2)),)]
    assert isinstance(pages[1].entries[0], Unread)


@given(st.binary(max_size=200))
def test_no_journal_makes_reading_fail(journal):
    read(journal)
