"""From the stream of traces to the database; and a trace that cannot be written costs nothing."""

import threading
from datetime import UTC, date, datetime

import pytest
import redis

from cdr.models import CallTrace
from cdr.packing import unpack
from cdr.sip_trace import SipTrace
from cdr.trace import STREAM, TraceHead
from cdr.trace_writer import DROP_BATCH, LEASE_KEY, LONGEST, Keeping, TraceWriter

pytestmark = pytest.mark.django_db

JOURNAL = b'[1,"w.1",7,[["doubted",0,1]]]'
WEEK = Keeping(days=7, failed_days=30)
NEVER = threading.Event()


def head(call="pbx1:1760000000.1", **changes):
    facts = {"node": "pbx1", "account": "acme", "started_ms": 1_760_000_000_000, "failed": False}
    return TraceHead(call_id=call, **(facts | changes))


@pytest.fixture
def stream(redis_url):
    client = redis.Redis.from_url(redis_url)
    client.delete(STREAM, LEASE_KEY)
    yield client
    client.delete(STREAM, LEASE_KEY)
    client.close()


@pytest.fixture
def add(stream):
    def add(*heads, journal=JOURNAL):
        for each in heads:
            text = each if isinstance(each, bytes) else each.to_json()
            stream.xadd(STREAM, {"head": text, "journal": journal})

    return add


@pytest.fixture
def make_writer(redis_url):
    made = []

    def make(name="records@test", keeping=WEEK):
        made.append(TraceWriter(redis_url, name, keeping, block_ms=10))
        return made[-1]

    yield make
    for writer in made:
        writer.close()


def test_a_trace_becomes_a_row_and_leaves_the_stream(stream, add, make_writer):
    add(head())

    assert make_writer().write_once() == 1

    row = CallTrace.objects.get()
    assert (row.call_id, row.node, row.account) == ("pbx1:1760000000.1", "pbx1", "acme")
    assert row.started_at == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
    assert unpack(bytes(row.journal)) == JOURNAL
    assert stream.xlen(STREAM) == 0


def test_an_empty_stream_writes_nothing(make_writer):
    assert make_writer().write_once() == 0


@pytest.mark.parametrize(
    ("keeping", "failed", "until"),
    [
        (Keeping(7, 30), False, date(2025, 10, 16)),
        (Keeping(7, 30), True, date(2025, 11, 8)),
        (Keeping(7, 0), True, date(2025, 10, 16)),
        (Keeping(0, 30), False, None),
        (Keeping(0, 30), True, date(2025, 11, 8)),
        (Keeping(0, 0), True, None),
    ],
)
def test_failed_calls_are_kept_longer(add, make_writer, keeping, failed, until):
    add(head(failed=failed))

    make_writer(keeping=keeping).write_once()

    assert [row.keep_until for row in CallTrace.objects.all()] == ([until] if until else [])


def test_a_trace_that_comes_twice_is_one_row(add, make_writer):
    add(head(), head())
    make_writer().write_once()
    add(head())
    make_writer().write_once()

    assert CallTrace.objects.count() == 1


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"call_id":"pbx1:2"}',
        b'{"call_id":"","node":"n","account":"a","started_ms":1,"failed":false}',
        b'{"call_id":"x:1","node":"n","account":"a","started_ms":"soon","failed":false}',
        b'{"call_id":"x:1","node":"n","account":7,"started_ms":1,"failed":false}',
        b'{"call_id":"x:1","node":"n","account":"a","started_ms":9e99,"failed":false}',
    ],
)
def test_one_that_cannot_be_written_is_dropped_and_the_others_are_not(
    stream, add, make_writer, caplog, broken
):
    add(broken, head())

    assert make_writer().write_once() == 2

    assert CallTrace.objects.get().call_id == "pbx1:1760000000.1"
    assert stream.xlen(STREAM) == 0
    assert "A trace is dropped" in caplog.text


def test_a_journal_without_measure_is_dropped(add, make_writer, caplog):
    add(head(), journal=b"x" * (LONGEST + 1))

    make_writer().write_once()

    assert not CallTrace.objects.exists()
    assert f"{LONGEST + 1} bytes" in caplog.text


def test_hostile_text_in_a_head_is_cut_to_its_column(add, make_writer):
    add(head(account="\0" + "a" * 300))

    make_writer().write_once()

    assert len(CallTrace.objects.get().account) == 80


def test_a_head_of_a_newer_version_is_read_by_what_is_known(add, make_writer):
    add(head().to_json().replace(b'"node"', b'"colour":"red","node"'))

    make_writer().write_once()

    assert CallTrace.objects.get().node == "pbx1"


def test_one_of_two_writers_writes(add, make_writer):
    first, second = make_writer("records@one"), make_writer("records@two")
    add(head("pbx1:1"))
    assert first.write_once() == 1
    add(head("pbx1:2"))

    assert second.write_once() == 0
    assert first.write_once() == 1


def test_another_writer_takes_over_from_one_that_died(stream, add, make_writer):
    make_writer("records@one").write_once()
    stream.delete(LEASE_KEY)  # as it does by itself when its time is over
    add(head())

    assert make_writer("records@two").write_once() == 1


def test_old_traces_are_dropped_in_small_batches(make_writer, django_assert_max_num_queries):
    days = [date(2025, 10, 8)] * (DROP_BATCH + 1) + [date(2025, 10, 9), date(2025, 10, 10)]
    CallTrace.objects.bulk_create(
        CallTrace(
            call_id=f"pbx1:{number}",
            node="pbx1",
            started_at=datetime(2025, 10, 1, tzinfo=UTC),
            keep_until=day,
            journal=b"",
        )
        for number, day in enumerate(days)
    )

    with django_assert_max_num_queries(4 * 2):
        assert make_writer().drop_old(NEVER, today=date(2025, 10, 9)) == DROP_BATCH + 1

    kept = CallTrace.objects.order_by("keep_until").values_list("keep_until", flat=True)
    assert list(kept) == [date(2025, 10, 9), date(2025, 10, 10)]


@pytest.fixture
def settled(monkeypatch):
    """Everything was caught as soon as the call ended."""
    monkeypatch.setattr("cdr.trace_writer.SETTLE_MS", -5_000)


@pytest.mark.parametrize(
    ("sip", "failed", "kept"),
    [
        (SipTrace(), False, False),
        (SipTrace(everybody=True), False, True),
        (SipTrace(failed=True), False, False),
        (SipTrace(failed=True), True, True),
        (SipTrace(accounts=frozenset({"acme"})), False, True),
        (SipTrace(accounts=frozenset({"beta"})), False, False),
    ],
)
def test_sip_is_put_into_the_traces_it_is_wanted_for(
    stream, add, make_writer, settled, sip, failed, kept
):
    stream.rpush("ringmaster:sip:x@a", b'[1,"","","x@a","INVITE"]')
    stream.rpush("ringmaster:sip:y@b", b'[2,"","","y@b","INVITE"]')
    add(head(failed=failed, sip_call_ids=("x@a", "y@b")))

    make_writer(keeping=Keeping(7, 30, sip)).write_once()

    found = bytes(CallTrace.objects.get().sip)
    wanted = b'[[1,"","","x@a","INVITE"],[2,"","","y@b","INVITE"]]'
    assert (unpack(found) if found else b"") == (wanted if kept else b"")
    stream.delete("ringmaster:sip:x@a", "ringmaster:sip:y@b")


def test_a_trace_waits_until_its_last_sip_is_caught(stream, add, make_writer):
    writer = make_writer(keeping=Keeping(7, 30, SipTrace(everybody=True)))
    add(head())

    assert writer.write_once() == 0
    assert stream.xlen(STREAM) == 1
