"""A report is sorted by what is asked for, the worst first, and says as a file what it says."""

import csv
import io

import pytest

from calls.clock import wall_clock_ms
from cdr import rollup
from cdr.rates import Sums
from cdr.reports import in_order
from cdr.writer import store
from tests.lab.traffic import calls

PAGE = "/admin/cdr/reports/"


def sums(seizures, effective, answered=0, talk_ms=0):
    return Sums(seizures, seizures, answered, effective, talk_ms)


FOUND = {
    "good": sums(100, 99, 90),
    "bad": sums(100, 40, 30),
    "few": sums(3, 0),
    "none": sums(0, 0),
}


def test_the_worst_rate_comes_first_and_what_says_little_last():
    assert [key for key, _ in in_order(FOUND, "ner")] == ["bad", "good", "few", "none"]


def test_turned_the_best_comes_first():
    order = [key for key, _ in in_order(FOUND, "ner", reverse_order=True)]
    assert order == ["good", "bad", "few", "none"]


def test_counts_begin_with_the_most():
    assert next(iter(in_order(FOUND, "attempts")))[0] == "bad"


@pytest.fixture
def a_day(db):
    now_ms = wall_clock_ms()
    store(calls(300, now_ms - 5 * 3_600_000, now_ms))
    while rollup.add_up():
        pass


@pytest.mark.parametrize("by", ["trunk", "account", "prefix", "hour"])
def test_each_report_opens_and_is_exported_with_the_same_rows(admin_client, a_day, by):
    shown = admin_client.get(PAGE, {"by": by}).context["lines"]
    text = admin_client.get(PAGE, {"by": by, "form": "csv"}).content.decode("utf-8-sig")
    assert [line[by] for line in csv.DictReader(io.StringIO(text))] == [row.key for row in shown]
    assert shown


def test_the_worse_trunk_stands_on_top(admin_client, a_day):
    lines = admin_client.get(PAGE, {"by": "trunk"}).context["lines"]
    assert [line.key for line in lines] == ["carrier-b", "carrier-a"]


@pytest.mark.parametrize("query", [{"by": "x"}, {"sort": "__class__"}, {"window": "9y"}, {}])
def test_what_is_not_understood_is_left_out(admin_client, db, query):
    answer = admin_client.get(PAGE, query)
    assert b"There were no calls in this time." in answer.content
