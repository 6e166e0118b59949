"""The sentence above the list of call records: what they add up to, however many they are."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cdr import paging, rollup, totals
from cdr.models import Cdr
from cdr.record import Disposition
from cdr.totals import Totals, TotalsPaginator, in_words
from cdr.writer import store
from tests.cdr.made_up import attempt, record

pytestmark = pytest.mark.django_db

LIST = "/admin/cdr/cdr/"
HOUR_MS = 3_600_000
on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite knows no statement timeout."
)


def ago(hours, number, **changes):
    """An answered call of 60 s of talk that started so many hours ago."""
    began = int(time.time() * 1000 - hours * HOUR_MS)
    moments = {"started_ms": began, "ringing_ms": began, "answered_ms": began}
    values = moments | {"ended_ms": began + 60_000, "attempts": ()} | changes
    return record(f"pbx1:{hours}.{number}", **values)


def busy(hours, number, **changes):
    refused = {"ringing_ms": None, "answered_ms": None, "disposition": Disposition.BUSY}
    return ago(hours, number, **(refused | changes))


def slow_to_read():
    """A list in which one account's records take 20 s to read."""
    condition = "pg_sleep(CASE WHEN account = 'slow' THEN 20 ELSE 0 END) IS NOT NULL"
    return Cdr.objects.extra(where=[condition])  # noqa: S610


def sentence(client, **query):
    return client.get(LIST, query).context["totals"]


def test_a_short_list_is_added_up_whole(admin_client):
    store([*(ago(1, n) for n in range(2)), busy(2, 0)])
    assert sentence(admin_client) == "3 calls: 2 answered, 2:00 of talk, 120 billed seconds."


def test_without_a_call_nothing_is_said(admin_client):
    assert sentence(admin_client) == ""


def test_a_long_list_of_a_window_is_told_by_the_hourly_sums(admin_client, monkeypatch):
    monkeypatch.setattr(paging, "CAP", 3)
    store([*(ago(2, n) for n in range(5)), busy(1, 0), ago(1, 9, account="other")])
    rollup.add_up()

    told = sentence(admin_client)
    assert told.startswith("7 calls since <time ")
    assert told.endswith(", by the hour: 6 answered, 6:00 of talk, 360 billed seconds.")
    of_one = sentence(admin_client, account="demo")
    assert of_one.startswith("6 calls since <time ")
    assert of_one.endswith(", by the hour: 5 answered, 5:00 of talk, 300 billed seconds.")


def read_of_records(asked):
    return [query["sql"] for query in asked if 'SUM("cdr_cdr"' in query["sql"]]


@pytest.mark.parametrize("query", [{}, {"account": "demo"}, {"account": "demo", "p": "2"}])
def test_no_record_is_read_for_what_the_hourly_sums_know(admin_client, monkeypatch, query):
    monkeypatch.setattr(paging, "CAP", 60)
    store(ago(2, n) for n in range(61))
    rollup.add_up()

    with CaptureQueriesContext(connection) as asked:
        shown = admin_client.get(LIST, query).context

    assert not read_of_records(asked)
    assert shown["totals"].startswith("61 calls since <time ")
    paginator = shown["cl"].paginator
    assert (str(paginator.count), paginator.num_pages) == ("60+", 2)
    assert len(shown["cl"].result_list) == (11 if query.get("p") else 50)


def test_of_a_trunk_those_that_were_answered_are_known_and_that_there_are_more(
    admin_client, monkeypatch
):
    monkeypatch.setattr(paging, "CAP", 3)
    tried = (attempt(q850_cause=34, sip_code=503, answered_ms=None),)
    answered = (attempt(number=2, trunk="carrier-b"),)
    store([*(ago(2, n, attempts=(attempt(),)) for n in range(4)), busy(2, 7, attempts=tried)])
    store(ago(2, n, trunk="carrier-b", attempts=(*tried, *answered)) for n in range(10, 14))
    rollup.add_up()

    with CaptureQueriesContext(connection) as asked:
        told = sentence(admin_client, trunk="carrier-a")

    assert not read_of_records(asked)
    assert told.startswith("More than 3 calls. Since <time ")
    assert told.endswith(", by the hour: 4 answered, 4:00 of talk, 240 billed seconds.")


def unanswered(number, **changes):
    failed = attempt(q850_cause=34, sip_code=503, answered_ms=None)
    return busy(2, number, attempts=(failed,), **changes)


def test_of_a_trunk_that_answers_nothing_the_records_are_counted_and_not_read(
    admin_client, monkeypatch
):
    monkeypatch.setattr(paging, "CAP", 3)
    store([*(unanswered(n) for n in range(5)), ago(2, 9, attempts=(attempt(),))])
    rollup.add_up()

    with CaptureQueriesContext(connection) as asked:
        told = sentence(admin_client, trunk="carrier-a")

    assert not read_of_records(asked)
    assert told.startswith("More than 3 calls. Since <time ")
    assert told.endswith(", by the hour: 1 answered, 1:00 of talk, 60 billed seconds.")


def test_a_trunk_that_was_tried_often_may_have_few_records(admin_client, monkeypatch):
    monkeypatch.setattr(paging, "CAP", 3)
    failed = attempt(q850_cause=34, sip_code=503, answered_ms=None)
    other = attempt(number=2, trunk="carrier-b")
    store(ago(2, n, trunk="carrier-b", attempts=(failed, other)) for n in range(6))
    store([unanswered(7)])
    rollup.add_up()

    told = sentence(admin_client, trunk="carrier-a")
    assert told == "1 call: 0 answered, 0:00 of talk, 0 billed seconds."


@on_postgresql
def test_a_trunks_records_are_counted_in_the_index_alone(admin_client, monkeypatch):
    """The newest ten thousand of a trunk lie on as many pages of the table."""
    monkeypatch.setattr(paging, "CAP", 3)
    store(unanswered(n) for n in range(5))
    rollup.add_up()
    with CaptureQueriesContext(connection) as asked:
        sentence(admin_client, trunk="carrier-a")
    (count,) = [
        query["sql"]
        for query in asked
        if query["sql"].startswith("SELECT COUNT(") and 'FROM "cdr_cdr"' in query["sql"]
    ]

    with connection.cursor() as cursor:
        # The table is so small that it would be read whole.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {count}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan using cdr_trunk_started" in plan


def test_of_an_account_on_a_trunk_the_hourly_sums_know_nothing(admin_client, monkeypatch):
    monkeypatch.setattr(paging, "CAP", 3)
    store(ago(2, n, attempts=(attempt(),)) for n in range(5))
    rollup.add_up()
    assert sentence(admin_client, trunk="carrier-a", account="demo") == (
        "More than 3 calls. Of the newest 4: 4 answered, 4:00 of talk, 240 billed seconds."
    )


def test_calls_before_the_window_do_not_make_its_list_longer(admin_client, monkeypatch):
    """The sums of its first hour count them, too."""
    monkeypatch.setattr(paging, "CAP", 3)
    now = timezone.now().replace(minute=30)
    monkeypatch.setattr(timezone, "now", lambda: now)
    since = now - timedelta(hours=1)
    before = {"started_ms": int((since - timedelta(minutes=20)).timestamp() * 1000)}
    store([*(ago(1, n, **before) for n in range(5)), ago(0, 1)])
    while rollup.add_up():
        pass

    shown = admin_client.get(LIST, {"window": "1h"}).context

    assert shown["totals"].startswith("1 call: ")


@pytest.mark.parametrize("query", [{"disposition__exact": "answered"}, {"window": "all"}])
def test_what_the_hourly_sums_do_not_know_is_more_than_was_added_up(
    admin_client, monkeypatch, query
):
    monkeypatch.setattr(paging, "CAP", 3)
    store([ago(2, n) for n in range(5)])
    rollup.add_up()

    assert sentence(admin_client, **query) == (
        "More than 3 calls. Of the newest 4: 4 answered, 4:00 of talk, 240 billed seconds."
    )


def test_sums_that_are_behind_the_list_are_not_told(admin_client, monkeypatch):
    monkeypatch.setattr(paging, "CAP", 3)
    store([ago(2, 0)])
    rollup.add_up()
    store([ago(2, n) for n in range(1, 6)])

    assert sentence(admin_client).startswith("More than 3 calls. Of the newest 4: ")


@on_postgresql
def test_what_takes_too_long_is_added_up_as_far_back_as_time_allows(monkeypatch):
    monkeypatch.setattr(paging, "COUNT_TIMEOUT_MS", 700)
    store([ago(2, 0), ago(3, 1), busy(5, 0), ago(24 * 5, 9, account="slow")])
    now = timezone.now()

    found = totals.totals(slow_to_read(), now)

    assert found == Totals(3, 2, 120_000, 120, since=now - timedelta(days=3))
    told = in_words(found, {}, "{:%H:%M}".format)
    assert told == (
        f"3 calls since {now:%H:%M}: 2 answered, 2:00 of talk, 120 billed seconds. "
        "Older ones would take too long here: narrow them down by filters."
    )


@on_postgresql
def test_a_count_that_takes_too_long_says_how_many_were_found(monkeypatch):
    monkeypatch.setattr(paging, "COUNT_TIMEOUT_MS", 700)
    store([ago(2, 0), ago(3, 1), ago(24 * 5, 9, account="slow")])

    count = TotalsPaginator(slow_to_read(), 50).count

    assert (str(count), int(count)) == ("2+", paging.CAP + 1)
    # The connection and its transaction go on.
    assert Cdr.objects.count() == 3


def test_where_nothing_was_found_in_time_it_is_said_since_when():
    told = in_words(Totals(since=datetime(2026, 11, 30, 9, tzinfo=UTC)), {}, "{:%H:%M}".format)
    assert told == (
        "None since 09:00. Older ones would take too long here: narrow them down by filters."
    )
