"""Export: every selected record once, in a form that no spreadsheet runs, however many."""

import csv
import io
import json
import threading

import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import Permission, User

from cdr import exporter, list_tools
from cdr.export import FIELDS, FORMATS, rows
from cdr.models import Cdr, CdrExport
from cdr.writer import store
from tests.cdr.made_up import record

pytestmark = pytest.mark.django_db
LIST = "/admin/cdr/cdr/"
ALL = {"window": "all"}


@pytest.fixture
def exports(settings, tmp_path):
    settings.EXPORT_FOLDER = str(tmp_path / "exports")
    return tmp_path / "exports"


def written(form, queryset):
    return b"".join(FORMATS[form].chunks(rows(queryset)))


def test_csv_and_parquet_hold_the_same():
    store([record(f"pbx1:{n}", caller_name=f"Müller {n}") for n in range(1_200)])
    queryset = Cdr.objects.order_by("id")
    text = written("csv", queryset).decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    table = pq.read_table(io.BytesIO(written("parquet", queryset)))
    assert table.column_names == list(FIELDS) == list(lines[0])
    assert table.column("call_id").to_pylist() == [line["call_id"] for line in lines]
    assert len(lines) == 1_200
    assert lines[7]["started_at"] == "2025-10-09T08:53:20.000Z"
    assert str(table.schema.field("started_at").type) == "timestamp[us, tz=UTC]"


def test_a_list_is_exported_as_it_is_filtered(admin_client):
    store([record("pbx1:1"), record("pbx1:2", account="beta")])
    answer = admin_client.get(f"{LIST}export/", ALL | {"account": "beta", "form": "csv"})
    lines = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [line["call_id"] for line in lines] == ["pbx1:2"]
    assert "attachment" in answer["Content-Disposition"]


def test_without_the_permission_nothing_leaves(client):
    user = User.objects.create_user("eve", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_cdr"))
    client.force_login(user)
    assert client.get(f"{LIST}export/", {"form": "csv"}).status_code == 403
    assert client.get(f"{LIST}exports/").status_code == 403


def test_an_unknown_form_is_not_found(admin_client):
    assert admin_client.get(f"{LIST}export/", {"form": "exe"}).status_code == 404


def test_many_records_are_written_in_the_background(admin_client, exports, monkeypatch):
    monkeypatch.setattr(list_tools, "CAP", 2)
    store([record(f"pbx1:{n}") for n in range(5)])
    answer = admin_client.get(f"{LIST}export/", ALL | {"form": "csv"}, follow=True)
    assert b"written in the background" in answer.content
    order = exporter.next_order()
    assert exporter.next_order() is None
    exporter.carry_out(order, threading.Event())
    order.refresh_from_db()
    assert (order.state, order.written, order.percent) == (CdrExport.State.DONE, 5, 100)
    file = admin_client.get(f"{LIST}exports/{order.pk}/")
    assert len(b"".join(file).splitlines()) == 6
    assert exporter.file_of(order).stat().st_mode & 0o777 == 0o600


def test_somebody_elses_export_is_not_found(admin_client, client, exports):
    other = User.objects.create_superuser("other")
    order = CdrExport.objects.create(owner=other, form="csv", state=CdrExport.State.DONE)
    assert admin_client.get(f"{LIST}exports/{order.pk}/").status_code == 404


def test_an_export_whose_worker_died_is_taken_up_again(admin_user, exports, monkeypatch):
    CdrExport.objects.create(owner=admin_user, form="csv", query="window=all")
    assert exporter.next_order() is not None
    assert exporter.next_order() is None
    monkeypatch.setattr(exporter, "DEAD_S", -1)
    assert exporter.next_order() is not None


def test_a_folder_that_cannot_be_written_fails_the_export_with_a_sentence(admin_user, settings):
    settings.EXPORT_FOLDER = "/dev/null/exports"
    order = CdrExport.objects.create(owner=admin_user, form="csv", query="window=all")
    exporter.carry_out(order, threading.Event())
    order.refresh_from_db()
    assert order.state == CdrExport.State.FAILED
    assert "could not be written" in order.trouble


def test_one_record_is_json_with_its_attempts(admin_client):
    store([record("pbx1:1")])
    answer = admin_client.get(f"{LIST}{Cdr.objects.get().pk}/json/")
    document = json.loads(answer.content)
    assert document["call_id"] == "pbx1:1"
    assert document["started_at"] == "2025-10-09T08:53:20.000Z"
    assert document["attempts"][0]["trunk"] == "carrier-a"


def test_the_list_tells_what_its_records_sum_up_to(admin_client):
    store([record(f"pbx1:{n}") for n in range(3)])
    page = admin_client.get(LIST, ALL).content.decode()
    assert "3 calls: 3 answered, 0:30 of talk, 33 billed seconds." in page


def test_columns_are_chosen_in_the_address(admin_client):
    store([record("pbx1:1")])
    shown = admin_client.get(LIST, ALL | {"columns": ["call_id", "pdd", "nonsense"]})
    assert shown.context["cl"].list_display[-2:] == ["call_id", "pdd"]


def test_a_view_is_saved_shared_and_forgotten_by_its_owner(admin_client, client):
    admin_client.post(f"{LIST}views/", {"name": "France", "query": "q=33", "shared": "1"})
    eve = User.objects.create_user("eve", is_staff=True)
    eve.user_permissions.set(Permission.objects.filter(codename="view_cdr"))
    client.force_login(eve)
    page = client.get(LIST)
    (view,) = page.context["views"]
    assert b'href="?q=33"' in page.content
    assert client.post(f"{LIST}views/{view.pk}/forget/").status_code == 403
    admin_client.post(f"{LIST}views/{view.pk}/forget/")
    assert not client.get(LIST).context["views"]


POISON = (
    "window=all&started_at__gte=2026-13-45",
    "window=all&started_at__gte=%00",
    "window=all&nothing__like__this=1",
    "window=all&account=" + "x" * 1_900,
    "window=9999999999999999999999",
    "q=%00",
)
"""Queries that the list refuses, or might: an order that was cut, or that an older version took."""


@pytest.mark.parametrize("query", POISON)
def test_an_order_that_cannot_be_read_stops_no_other(admin_user, exports, query):
    store([record("pbx1:1")])
    bad = CdrExport.objects.create(owner=admin_user, form="csv", query=query)
    zone = CdrExport.objects.create(owner=admin_user, form="csv", query="window=all", zone="Mars/X")
    form = CdrExport.objects.create(owner=admin_user, form="exe", query="window=all")
    good = CdrExport.objects.create(owner=admin_user, form="csv", query="window=all")

    exporter._carry_out_all(threading.Event())

    for order in (bad, zone, form, good):
        order.refresh_from_db()
    assert good.state == CdrExport.State.DONE
    assert bad.state in (CdrExport.State.DONE, CdrExport.State.FAILED)
    assert zone.state == form.state == CdrExport.State.FAILED
    assert zone.trouble == form.trouble == "The order cannot be carried out. The log says why."


def test_a_query_too_long_to_be_kept_is_not_cut(admin_client, exports, monkeypatch):
    """The end of it may be what leaves records out, or half of what is left cannot be read."""
    asked = ALL | {"form": "csv", "account": "y" * 2_001}
    monkeypatch.setattr(list_tools, "CAP", -1)

    page = admin_client.get(f"{LIST}export/", asked, follow=True).content.decode()

    assert "too long" in page
    assert not CdrExport.objects.exists()


def test_the_same_export_is_ordered_once_and_few_at_a_time(admin_client, exports, monkeypatch):
    """A link on somebody else's page is enough to order one, and each is a file of all records."""
    monkeypatch.setattr(list_tools, "CAP", -1)
    store([record("pbx1:1")])
    for _ in range(3):
        admin_client.get(f"{LIST}export/", ALL | {"form": "csv"})
    assert CdrExport.objects.count() == 1

    for number in range(list_tools.MOST_ORDERS + 3):
        page = admin_client.get(
            f"{LIST}export/", ALL | {"form": "csv", "account": f"x{number}"}, follow=True
        )
    assert CdrExport.objects.count() == list_tools.MOST_ORDERS
    assert "5 exports of yours wait" in page.content.decode()


@pytest.mark.parametrize("query", POISON)
def test_an_export_that_cannot_be_read_is_told_so(admin_client, exports, query):
    store([record("pbx1:1")])

    answer = admin_client.get(f"{LIST}export/?form=csv&{query}")

    # A NUL is refused before anybody looks at the rest.
    assert answer.status_code == 400 if "%00" in query else answer.status_code in (200, 302)
    if answer.status_code == 302:
        page = admin_client.get(answer["Location"]).content.decode()
        assert "Nothing can be selected by this address" in page
