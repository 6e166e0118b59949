"""The admin's list: what it finds, that it stays quick, and that nothing in it is changed."""

import time

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cdr import paging
from cdr.models import Cdr
from cdr.paging import CappedPaginator, Count
from cdr.record import Disposition, EndedBy, Outcome
from cdr.search import Kind, Search, parse
from cdr.writer import store
from tests.cdr.made_up import attempt, record

pytestmark = pytest.mark.django_db

LIST = "/admin/cdr/cdr/"
HOUR_MS = 3_600_000


def ago(hours, call_id, **changes):
    """A record of a call that started so many hours ago."""
    started = int(time.time() * 1000 - hours * HOUR_MS)
    times = {"started_ms": started, "ringing_ms": None, "answered_ms": None}
    return record(call_id, **(times | {"ended_ms": started + 1_000, "attempts": ()} | changes))


def found(client, **query):
    return {row.call_id for row in client.get(LIST, query).context["cl"].result_list}


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("", Search(Kind.NOTHING)),
        ("  ", Search(Kind.NOTHING)),
        ("pbx1:1760000000.1", Search(Kind.CALL_ID, "pbx1:1760000000.1")),
        (" pbx1:1 ", Search(Kind.CALL_ID, "pbx1:1")),
        ("4930", Search(Kind.CALLEE_PREFIX, "4930")),
        ("+49 (30) 123-45/6.7", Search(Kind.CALLEE_PREFIX, "49301234567")),
        ("1-7001@127.0.0.1", Search(Kind.SIP_CALL_ID, "1-7001@127.0.0.1")),
        (
            "00bcfcd5-83f7-4707-b031-9b44f52eb57d",
            Search(Kind.SIP_CALL_ID, "00bcfcd5-83f7-4707-b031-9b44f52eb57d"),
        ),
        ("carrier-a", Search(Kind.UNKNOWN, "carrier-a")),
        ("٤٩", Search(Kind.UNKNOWN, "٤٩")),
        ("+", Search(Kind.UNKNOWN, "+")),
    ],
)
def test_the_search_box_tells_call_ids_from_numbers(text, search):
    assert parse(text) == search


def test_the_list_shows_the_last_24_hours_unless_told_otherwise(admin_client):
    store([ago(1, "pbx1:new"), ago(25, "pbx1:yesterday"), ago(24 * 40, "pbx1:old")])
    assert found(admin_client) == {"pbx1:new"}
    assert found(admin_client, window="7d") == {"pbx1:new", "pbx1:yesterday"}
    assert found(admin_client, window="all") == {"pbx1:new", "pbx1:yesterday", "pbx1:old"}
    assert found(admin_client, window="nonsense") == {"pbx1:new"}


def test_the_list_says_which_calls_it_shows(admin_client):
    page = admin_client.get(LIST).content.decode()
    assert "Calls started in the last 24 hours." in page
    assert "Calls of all times." in admin_client.get(LIST, {"window": "all"}).content.decode()


def test_a_range_of_dates_replaces_the_window_and_takes_whole_days(admin_client):
    store([record("pbx1:2025"), ago(1, "pbx1:new")])
    day = {"started_at_from_0": "2025-10-09", "started_at_to_0": "2025-10-09"}
    assert found(admin_client, **day) == {"pbx1:2025"}
    assert found(admin_client, **day, started_at_from_1="09:00:00") == set()


@pytest.mark.parametrize("date", ["yesterday", "2025-13-45", "2025-10-09 00:00:00 or 1=1"])
def test_what_is_no_date_is_left_out(admin_client, date):
    store([record("pbx1:2025")])
    assert found(admin_client, started_at_from_0=date) == {"pbx1:2025"}


def test_a_call_id_is_found_however_old(admin_client):
    store([ago(24 * 400, "pbx1:old"), ago(1, "pbx1:old.2")])
    assert found(admin_client, q="pbx1:old") == {"pbx1:old"}


def test_a_number_is_found_by_its_first_digits(admin_client):
    store(
        [
            ago(1, "pbx1:berlin", callee_normalised="4930123"),
            ago(1, "pbx1:other", callee_normalised="1493012"),
        ]
    )
    assert found(admin_client, q="+49 30") == {"pbx1:berlin"}


def test_a_search_for_anything_else_finds_nothing_and_says_why(admin_client):
    store([ago(1, "pbx1:1")])
    response = admin_client.get(LIST, {"q": "Alice"})
    assert list(response.context["cl"].result_list) == []
    assert "found by call id" in str(next(iter(response.context["messages"])))


def test_the_filters_narrow_the_list(admin_client):
    store(
        [
            ago(1, "pbx1:1", disposition=Disposition.BUSY, account="acme"),
            ago(1, "pbx1:2", ended_by=EndedBy.LIMIT, trunk="carrier-b"),
        ]
    )
    assert found(admin_client, disposition__exact="busy") == {"pbx1:1"}
    assert found(admin_client, ended_by__exact="limit") == {"pbx1:2"}
    assert found(admin_client, account="acme") == {"pbx1:1"}
    assert found(admin_client, trunk="carrier-b") == {"pbx1:2"}
    assert found(admin_client, account="", trunk="") == {"pbx1:1", "pbx1:2"}


def test_the_list_never_counts_the_table(admin_client):
    store([ago(1, f"pbx1:{number}") for number in range(5)])
    with CaptureQueriesContext(
        connection,
    ) as queries:
        admin_client.get(LIST)
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"]]
    assert counts
    assert all(f"LIMIT {paging.CAP + 1}" in sql for sql in counts)


def test_the_number_of_queries_does_not_grow_with_the_list(admin_client):
    lengths = []
    for batch in range(2):
        store([ago(1, f"pbx1:{batch}.{number}") for number in range(20)])
        with CaptureQueriesContext(connection) as queries:
            admin_client.get(LIST)
        lengths.append(len(queries))
    assert lengths[0] == lengths[1]


def test_a_long_list_is_counted_to_the_cap_only(admin_client, monkeypatch):
    monkeypatch.setattr(paging, "CAP", 60)
    store([ago(1, f"pbx1:{number}") for number in range(70)])
    page = " ".join(admin_client.get(LIST).content.decode().split())
    assert "60+ call records" in page
    pages = CappedPaginator(Cdr.objects.order_by("-started_at", "-id"), 30)
    assert (pages.num_pages, len(pages.page(2).object_list)) == (2, 30)


def test_a_count_reads_as_people_write_it():
    assert [str(Count(number)) for number in (0, 999, 10_000, 10_001)] == [
        "0",
        "999",
        "10,000",
        "10,000+",
    ]


def test_an_empty_list_has_one_page():
    assert CappedPaginator(Cdr.objects.order_by("id"), 50).num_pages == 1


def test_hostile_names_are_shown_as_text(admin_client):
    evil = "<script>alert(1)</script>"
    store([ago(1, "pbx1:1", caller_name=evil, callee_received=evil, callee_normalised="")])
    row = Cdr.objects.get()
    for address in (LIST, f"{LIST}{row.pk}/change/"):
        page = admin_client.get(address).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page


def test_a_call_is_shown_with_its_attempts(admin_client):
    skipped = attempt(trunk="carrier-x", outcome=Outcome.SKIPPED_DISABLED, reason="It is off.")
    store([record(attempts=(skipped, attempt(number=2)))])
    page = admin_client.get(f"{LIST}{Cdr.objects.get().pk}/change/").content.decode()
    for text in ("carrier-x", "skipped: disabled", "It is off.", "16 / 200", "10.100 s"):
        assert text in page
    assert "2025-10-09 08:53:20.000" in page


def test_nobody_changes_adds_or_deletes_a_record(admin_client):
    store([record()])
    row = Cdr.objects.get()
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}{row.pk}/change/", {"trunk": "x"}).status_code == 403
    assert admin_client.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    row.refresh_from_db()
    assert row.trunk == "carrier-a"


def test_records_are_shown_only_to_those_who_may_view_them(client, django_user_model):
    user = django_user_model.objects.create_user("clerk", password="x", is_staff=True)
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_cdr"))
    assert client.get(LIST).status_code == 200


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite knows no statement timeout.")
def test_a_count_that_takes_too_long_is_given_up_and_the_list_taken_for_a_long_one(monkeypatch):
    monkeypatch.setattr(paging, "COUNT_TIMEOUT_MS", 50)
    slow = Cdr.objects.extra(where=["pg_sleep(20) IS NOT NULL"])
    store([ago(1, "pbx1:1")])
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        usual = cursor.fetchone()
        assert usual != ("50ms",)
        assert str(CappedPaginator(slow, 50).count) == "10,000+"
        # The connection and its transaction go on, with the timeout that all others have.
        assert Cdr.objects.count() == 1
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == usual


@pytest.mark.skipif(connection.vendor != "postgresql", reason="Only PostgreSQL's planner is asked.")
@pytest.mark.parametrize(
    ("search", "index"),
    [
        ({"callee_normalised__startswith": "4930"}, "cdr_callee_started"),
        ({"call_id": "pbx1:1"}, "cdr_cdr_call_id"),
        ({"account": "demo"}, "cdr_account_started"),
        ({"trunk": "carrier-a"}, "cdr_trunk_started"),
    ],
)
def test_each_search_is_served_by_its_index(search, index):
    with connection.cursor() as cursor:
        # A table this small is read whole unless the planner is told that this costs too much.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    assert index in Cdr.objects.filter(**search).order_by().explain()


def test_a_leg_of_either_side_finds_its_call(admin_client):
    store(
        [
            record("pbx1:1", sip_call_id="caller@alice"),
            record("pbx1:2", attempts=(attempt(), attempt(number=2, sip_call_id="callee@carrier"))),
        ]
    )

    for sip_call_id, found in {"caller@alice": ["pbx1:1"], "callee@carrier": ["pbx1:2"]}.items():
        page = admin_client.get("/admin/cdr/cdr/", {"q": sip_call_id})
        assert [row.call_id for row in page.context["cl"].result_list] == found
