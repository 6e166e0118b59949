"""The rows of records, attempts, beginnings and traces, as they are inserted."""

from datetime import UTC, date, datetime

import pytest
from django.db import IntegrityError, connection, transaction

from cdr import insertion
from cdr.insertion import insert
from cdr.mapping import attempt_row, cdr_row, trace_row
from cdr.models import BegunCall, CallTrace, Cdr, CdrAttempt, CdrExport
from cdr.trace import TraceHead
from tests.cdr.made_up import attempt, record

pytestmark = pytest.mark.django_db

HEAD = TraceHead(call_id="pbx1:1", node="pbx1", account="acme", started_ms=1_000, failed=True)


def cdrs(*calls: str) -> list[Cdr]:
    return [cdr_row(record(call_id=call)) for call in calls]


def test_every_field_comes_back_as_bulk_create_writes_it():
    """Django's own way is the measure: what it would have stored stands in the second row."""
    whole = record(
        call_id="ours",
        caller_mos=4.25,
        caller_name="Zoë \\ '\"% %s",
        progress_ms=None,
        canary="7:new",
        calls=3,
    )
    insert([cdr_row(whole)])
    theirs = cdr_row(whole)
    theirs.call_id = "theirs"
    Cdr.objects.bulk_create([theirs])

    rows = Cdr.objects.order_by("call_id").values()
    ours, theirs = ({**row, "id": 0, "call_id": ""} for row in rows)
    assert ours == theirs


def test_bytes_days_and_truth_come_back_as_they_went():
    journal = bytes(range(256))
    row = trace_row(HEAD, b"", date(2026, 12, 31))
    row.journal = journal
    insert([row])

    kept = CallTrace.objects.get()
    assert (bytes(kept.journal), bytes(kept.sip)) == (journal, b"")
    assert (kept.keep_until, kept.failed) == (date(2026, 12, 31), True)
    assert kept.started_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.fixture(params=["told by the statement", "looked up"])
def way(request, monkeypatch):
    """How the database says which rows are new; an old SQLite cannot by itself."""
    if request.param == "looked up":
        features = type(connection.features)
        monkeypatch.setattr(features, "can_return_rows_from_bulk_insert", False)
    return request.param


def test_those_that_are_new_are_told_with_their_keys(way):
    insert(cdrs("pbx1:1", "pbx1:2"))
    new = insert(cdrs("pbx1:2", "pbx1:3"), "call_id")

    assert new == {"pbx1:3": Cdr.objects.get(call_id="pbx1:3").pk}
    assert Cdr.objects.count() == 3


def test_a_row_that_is_there_stays_as_it_is(way):
    insert([cdr_row(record(call_id="pbx1:1", account="first"))])
    assert insert([cdr_row(record(call_id="pbx1:1", account="second"))], "call_id") == {}
    assert Cdr.objects.get().account == "first"


def test_what_any_unique_columns_refuse_is_left_out():
    insert(cdrs("pbx1:1"))
    key = Cdr.objects.get().pk
    insert([attempt_row(key, attempt(trunk="first"))])
    insert([attempt_row(key, attempt(trunk="again")), attempt_row(key, attempt(number=2))])

    found = CdrAttempt.objects.order_by("number").values_list("number", "trunk")
    assert list(found) == [(1, "first"), (2, attempt().trunk)]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no sequences")
def test_a_new_row_that_gets_the_key_of_another_is_refused_and_not_taken_for_known():
    """A sequence that is behind its table, as after a replication that copied none."""
    insert(cdrs("pbx1:1", "pbx1:2"))
    with connection.cursor() as cursor:
        lowest = Cdr.objects.order_by("pk").values_list("pk", flat=True)[0]
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('cdr_cdr', 'id'), %s, false)", [lowest]
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        insert(cdrs("pbx1:3"), "call_id", ["call_id"])
    assert Cdr.objects.count() == 2


def test_a_model_whose_values_are_made_on_saving_cannot_be_inserted_so():
    with pytest.raises(TypeError, match="CdrExport"):
        insert([CdrExport()])


def test_more_rows_than_one_statement_takes_go_in_by_several(monkeypatch, way):
    monkeypatch.setattr(insertion, "MOST_ROWS", 3)
    new = insert(cdrs(*(f"pbx1:{number}" for number in range(8))), "call_id")
    assert new == dict(Cdr.objects.values_list("call_id", "pk"))
    assert len(new) == 8


def test_a_batch_as_large_as_any_goes_in():
    """SQLite takes so many values in a statement, and a record has over forty."""
    insert(cdrs(*(f"pbx1:{number}" for number in range(500))))
    assert Cdr.objects.count() == 500


def test_no_rows_are_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert insert([], "call_id") == {}


def test_the_keys_of_new_rows_cost_no_question_of_their_own(django_assert_num_queries):
    rows = [BegunCall(call_id=f"pbx1:{number}", begun_at=datetime.now(UTC)) for number in range(50)]
    with django_assert_num_queries(1), transaction.atomic(durable=False, savepoint=False):
        insert(rows, "call_id")
