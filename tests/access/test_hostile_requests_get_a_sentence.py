"""A NUL, the year 1 or a body of a gigabyte is answered with a sentence, never with a fault.

PostgreSQL refuses a NUL that SQLite takes, so this is of most use on PostgreSQL.
"""

import io
import logging
import re

import pytest
from django.contrib import admin
from django.urls import reverse

from calls.models import Account
from project import logs
from project.access.hygiene import MOST_BYTES

LISTS = sorted(f"admin:{m._meta.app_label}_{m._meta.model_name}" for m in admin.site._registry)
QUERIES = [
    "q=%00",
    "q=a%00b",
    "account=%00",
    "trunk=a%00",
    "o=%00",
    "p=%00",
    "e=1",
    "%00=1",
    "all=%00",
    "window=%00",
    "started_at_from_0=0001-01-01",
    "started_at_from_0=0001-01-01&started_at_from_1=00:00:00",
    "started_at_to_0=9999-12-31",
    "started_at_to_0=9999-12-31&started_at_to_1=23:59:59",
    "started_at_from_0=%00",
    "attempt_time__gte=0001-01-01",
    "attempt_time__lt=9999-12-31+23:59:59",
    "id__exact=%00",
    "id__in=99999999999999999999999999",
    "pk=99999999999999999999999999",
]
ZONES = ["", "Pacific/Kiritimati", "Pacific/Pago_Pago"]


@pytest.fixture
def look(admin_client):
    admin_client.raise_request_exception = False
    return admin_client.get


# Whoever writes an address by hand names no zone, and Django says so of each.
@pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime:RuntimeWarning")
@pytest.mark.parametrize("name", LISTS)
def test_no_list_breaks_on_its_query(look, name, clean_redis):
    address = reverse(f"{name}_changelist")
    broken = [query for query in QUERIES if look(f"{address}?{query}").status_code >= 500]
    assert broken == []


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("key", ["%00", "a%00b", "99999999999999999999999999", "_00", "_5F"])
def test_no_row_breaks_on_its_key(look, name, key, clean_redis):
    list_address = reverse(f"{name}_changelist")
    for view in ("change", "delete", "history"):
        assert look(f"{list_address}{key}/{view}/").status_code < 500


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "at", ["0001-01-01 00:00", "9999-12-31 23:59:59", "0001-01-01 00:00+14:00", "9999-12-31T23:59"]
)
def test_a_time_out_of_range_is_told_so_where_a_call_is_explained(look, at, zone, clean_redis):
    Account.objects.create(code="demo", name="Demo", time_zone=zone or "UTC")
    look.__self__.cookies["ringmaster_zone"] = zone
    answer = look("/admin/calls/explain/", {"number": "49301", "account": "demo", "at": at})
    assert answer.status_code == 200
    assert b"from 1970 to 2999" in answer.content


@pytest.mark.parametrize("field", ["number", "account", "caller", "at"])
def test_a_nul_is_told_so_where_a_call_is_explained(look, field, clean_redis):
    asked = {"number": "49301", "account": "demo", field: "a\0b"}
    answer = look("/admin/calls/explain/", asked)
    assert answer.status_code == 400
    assert b"NUL" in answer.content


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("query", [query for query in QUERIES if "started_at" in query])
def test_call_records_of_all_times_and_zones(look, zone, query):
    look.__self__.cookies["ringmaster_zone"] = zone
    assert look(f"/admin/cdr/cdr/?{query}").status_code < 500


def test_a_nul_in_a_form_is_told_so(admin_client, clean_redis):
    admin_client.raise_request_exception = False
    for data in ({"code": "a\0"}, {"a\0": "1"}, {"action": "x\0", "_selected_action": "\0"}):
        for address in ("/admin/calls/account/add/", "/admin/calls/account/", "/admin/login/"):
            assert admin_client.post(address, data).status_code == 400


def test_a_body_too_long_is_refused_before_it_is_read(client, db):
    def never(*_):
        raise AssertionError("the body was read")

    answer = client.generic(
        "POST",
        "/admin/calls/route/import/",
        b"x",
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(MOST_BYTES + 1),
        **{"wsgi.input": type("Unread", (), {"read": never, "readline": never})()},
    )
    assert answer.status_code == 413
    assert f"{MOST_BYTES:,}" in answer.content.decode()


@pytest.mark.parametrize("length", ["", "-5", "x", "1e9"])
def test_a_length_that_is_none_is_no_fault(client, db, length):
    client.raise_request_exception = False
    assert client.post("/admin/login/", {}, CONTENT_LENGTH=length).status_code < 500


NEVER_SHOWN = re.compile(
    r"digest|salt|proof|password|secret|session_hash|(get|post)_data|http_accept"
)
"""Columns that no page shows, by their names."""


def test_no_list_is_filtered_by_a_column_that_no_page_shows(look, clean_redis, caplog):
    """Else how many rows are left tells the column, sign by sign."""
    caplog.set_level("CRITICAL", "django.security")
    tried = 0
    for model in admin.site._registry:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for field in model._meta.concrete_fields:
            if NEVER_SHOWN.search(field.name):
                answer = look(f"{address}?{field.name}__startswith=a")
                assert answer.status_code == 400, f"{model._meta.label} by {field.name}"
                tried += 1
    assert tried >= 7


def test_who_may_not_even_sign_in_writes_one_line_a_request(client, db, settings):
    """A traceback of forty lines each would bury what matters."""
    text = io.StringIO()
    stream = logging.StreamHandler(text)
    stream.setFormatter(logs.formatter("text"))
    for name in settings.LOGGING["handlers"]["stderr"]["filters"]:
        stream.addFilter(settings.LOGGING["filters"][name]["callback"])
    logging.getLogger().addHandler(stream)
    client.raise_request_exception = False
    try:
        many = {str(number): "x" for number in range(1_100)}
        assert client.post("/admin/login/", many).status_code == 400
        assert client.get("/admin/login/", headers={"host": "evil.example"}).status_code == 400
    finally:
        logging.getLogger().removeHandler(stream)
    assert text.getvalue().count("\n") == 2
    assert "Traceback" not in text.getvalue()
