"""The short form of `make chaos`: one strike of a few faults, and what its counting counts."""

import random
from dataclasses import replace

import pytest

from tests.lab.chaos.__main__ import run
from tests.lab.chaos.document import document
from tests.lab.chaos.faults import BY_NAME, FAULTS, SHORT
from tests.lab.chaos.field import Field, field
from tests.lab.chaos.verdict import Row, row_of
from tests.lab.sip import SeenCall

pytestmark = pytest.mark.alone

RATE = 10
FAULT = BY_NAME["worker-kill"]
TALK = SeenCall("49", (180,), 200, "caller", False, 10.0, 100.0, "1-1@127.0.0.1")
ANSWERED = ("1-1@127.0.0.1", "answered", "complete")


@pytest.fixture(scope="module")
def a_field():
    with field() as made:
        yield made


@pytest.mark.asterisk
@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost(a_field: Field, name: str):
    row = run(a_field, BY_NAME[name], random.Random(20), RATE, 1)

    assert row.calls > 50
    assert row.faults == []


def counted(*seen, records=(ANSWERED,), left=0, leaked=0, since=(99.0,)):
    return row_of(FAULT, seen, records, left, leaked, since)


def test_a_talk_with_its_record_is_as_it_must_be():
    row = counted(TALK)

    assert (row.calls, row.answered, row.faults) == (1, 1, [])


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (counted(TALK, records=()), "1 CDRs are missing."),
        (counted(TALK, records=[("1-1@127.0.0.1", "cancelled", "")]), "1 CDRs are missing."),
        (counted(TALK, records=[ANSWERED, ANSWERED]), "1 CDRs are double."),
        (counted(replace(TALK, ended_by="callee")), "1 talks were cut."),
        (counted(replace(TALK, final=503), records=()), "1 callers were refused."),
        (counted(TALK, left=2), "2 things are left over."),
        (counted(TALK, leaked=3), "3 places are leaked."),
    ],
)
def test_what_is_not_as_it_must_be_is_said(row: Row, sentence: str):
    assert row.faults == [f"worker-kill: {sentence}"]


def test_another_rows_records_are_not_counted():
    assert counted(TALK, records=[ANSWERED, ("9-9@127.0.0.1", "answered", "")]).double == 0


def test_recovery_is_the_longest_time_without_an_answer_after_a_strike():
    calls = [replace(TALK, answered_at=at) for at in (90.0, 99.5, 102.0, 102.5, 130.0)]

    assert counted(*calls, since=[99.0]).longest_s == 2.5
    assert counted(*calls, since=[110.0]).longest_s == 10.0


def test_where_asterisk_itself_dies_talks_are_cut():
    row = row_of(BY_NAME["asterisk-kill"], [replace(TALK, ended_by=None)], [ANSWERED], 0, 0, [1.0])

    assert row.faults == []


def test_the_table_has_a_line_for_each_row_and_says_how_to_run_it_again():
    text = document([counted(TALK)], seed=77, rate=20, took_s=120, ledger="Calls begun: 1")

    assert "seed 77, 20 calls a second, 1 calls" in text
    assert "| kill -9 of one of two calls workers | 1 | 1 | 1 | 0 | 0 | 0 |" in text
    assert "    Calls begun: 1" in text


def test_each_fault_has_a_name_of_its_own():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
