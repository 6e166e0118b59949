"""From the stream to the database: every call once, whatever fails in between."""

import threading
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
import redis
from django.db import OperationalError

from cdr import writer as writer_module
from cdr.models import Cdr, CdrAttempt
from cdr.record import Disposition
from cdr.stream import FIELD, GROUP, REJECTED_STREAM, STREAM
from tests.cdr.made_up import attempt, record

pytestmark = pytest.mark.django_db


def pending(stream):
    return stream.xpending(STREAM, GROUP)["pending"]


def test_a_record_becomes_a_row_with_its_attempts(add, writer):
    add(record(attempts=(attempt(), attempt(number=2, trunk="carrier-b"))))
    assert writer.write_once() == 1
    row = Cdr.objects.get()
    assert row.call_id == "pbx1:1760000000.1"
    assert row.started_at == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
    assert row.answered_at == datetime(2025, 10, 9, 8, 53, 22, 500_000, tzinfo=UTC)
    assert (row.pdd_ms, row.ring_ms, row.talk_ms, row.billsec) == (400, 2_000, 10_100, 11)
    assert (row.disposition, row.ended_by, row.integrity) == ("answered", "caller", "complete")
    assert list(row.attempts.values_list("number", "trunk", "outcome")) == [
        (1, "carrier-a", "dialled"),
        (2, "carrier-b", "dialled"),
    ]


def test_a_written_entry_leaves_the_stream(stream, add, writer):
    add(record())
    writer.write_once()
    assert stream.xlen(STREAM) == 0
    assert pending(stream) == 0


def test_an_empty_stream_writes_nothing(writer):
    assert writer.write_once() == 0
    assert not Cdr.objects.exists()


def test_records_added_before_the_first_writer_are_written(add, make_writer):
    add(record("pbx1:1"), record("pbx1:2"))
    assert make_writer().write_once() == 2
    assert Cdr.objects.count() == 2


def test_a_call_delivered_twice_keeps_its_first_row_and_attempts(add, writer):
    add(record())
    writer.write_once()
    add(record(disposition=Disposition.BUSY, attempts=(attempt(), attempt(number=2))))
    writer.write_once()
    assert Cdr.objects.get().disposition == "answered"
    assert CdrAttempt.objects.count() == 1


def test_a_call_twice_in_one_batch_gets_one_row(stream, add, writer):
    add(record(), record(disposition=Disposition.BUSY))
    assert writer.write_once() == 2
    assert Cdr.objects.get().disposition == "answered"
    assert CdrAttempt.objects.count() == 1
    assert stream.xlen(STREAM) == 0


def test_a_writer_that_died_after_the_commit_writes_nothing_twice(stream, add, make_writer):
    add(record())
    dying = make_writer()
    with (
        patch.object(dying, "_acknowledge", side_effect=redis.ConnectionError("gone")),
        pytest.raises(redis.ConnectionError),
    ):
        dying.write_once()
    assert Cdr.objects.count() == 1
    assert pending(stream) == 1
    make_writer().write_once()
    assert (Cdr.objects.count(), CdrAttempt.objects.count()) == (1, 1)
    assert stream.xlen(STREAM) == 0


def test_a_writer_started_again_takes_up_what_it_had_in_hand(stream, add, make_writer):
    add(record())
    make_writer()._ensure_group()
    stream.xreadgroup(GROUP, "records@test", {STREAM: ">"})
    assert make_writer("records@test").write_once() == 1
    assert Cdr.objects.count() == 1
    assert stream.xlen(STREAM) == 0


def test_entries_of_a_dead_writer_are_claimed_when_they_are_old(
    stream, add, make_writer, monkeypatch
):
    add(record())
    make_writer()._ensure_group()
    stream.xreadgroup(GROUP, "records@dead", {STREAM: ">"})
    assert make_writer("records@other").write_once() == 0
    monkeypatch.setattr(writer_module, "CLAIM_AFTER_MS", 0)
    assert make_writer("records@other").write_once() == 1
    assert Cdr.objects.count() == 1
    assert pending(stream) == 0


def test_entries_stay_pending_while_the_database_is_down(stream, add, writer):
    add(record())
    with (
        patch.object(
            writer_module, "store_rows", side_effect=OperationalError("connection refused")
        ),
        pytest.raises(OperationalError),
    ):
        writer.write_once()
    assert pending(stream) == 1
    assert writer.write_once() == 1
    assert Cdr.objects.count() == 1
    assert stream.xlen(STREAM) == 0


def test_a_batch_that_is_too_much_at_once_is_written_in_smaller_ones(add, writer, write_all):
    """As where hundreds of webhooks are told of every call: their rows take longer than may be."""
    told = []
    add(*(record(f"pbx1:{number}") for number in range(100)))
    write_all(writer, told.extend)

    assert Cdr.objects.count() == 100
    assert sorted(each.call_id for each in told) == sorted(
        {f"pbx1:{number}" for number in range(100)}
    )


def test_after_a_failure_batches_grow_again(stream, add, writer, monkeypatch):
    monkeypatch.setattr(writer, "_most", 1)
    add(*(record(f"pbx1:{number}") for number in range(10)))
    sizes = [writer.write_once() for _ in range(4)]

    assert sizes == [1, 2, 3, 4]


def test_an_entry_that_is_no_record_is_set_aside_and_the_others_are_written(
    stream, add, writer, caplog
):
    add(record("pbx1:1"), b"{not json", record("pbx1:2"))
    writer.write_once()
    assert set(Cdr.objects.values_list("call_id", flat=True)) == {"pbx1:1", "pbx1:2"}
    assert stream.xlen(STREAM) == 0
    [(_, rejected)] = stream.xrange(REJECTED_STREAM)
    assert rejected[FIELD.encode()] == b"{not json"
    assert b"not JSON" in rejected[b"reason"]
    assert "not JSON" in caplog.text


def test_a_record_the_database_refuses_is_set_aside_and_the_others_are_written(
    stream, add, writer, caplog
):
    add(record("pbx1:1"), record("pbx1:bad"), record("pbx1:2"))
    real = writer_module.cdr_row

    def row_too_large(one):
        row = real(one)
        if one.call_id == "pbx1:bad":
            row.talk_ms = 2**70
        return row

    with patch.object(writer_module, "cdr_row", row_too_large):
        writer.write_once()
    assert set(Cdr.objects.values_list("call_id", flat=True)) == {"pbx1:1", "pbx1:2"}
    assert stream.xlen(STREAM) == 0
    [(_, rejected)] = stream.xrange(REJECTED_STREAM)
    assert b"refused the record of call 'pbx1:bad'" in rejected[b"reason"]
    assert "'pbx1:bad'" in caplog.text


def test_hostile_texts_are_cut_and_cleaned_not_refused(stream, add, writer):
    hostile = "\0" + "=cmd|'<script>" * 100
    add(
        record(
            node=hostile,
            caller_name=hostile,
            callee_received="9" * 200,
            reason=hostile,
            attempts=(attempt(trunk=hostile, channel_id=hostile, reason=hostile),),
        )
    )
    writer.write_once()
    row = Cdr.objects.get()
    assert row.callee_received == "9" * 127 + "…"
    assert row.caller_name.startswith("=cmd|'<script>")
    assert len(row.caller_name) == 128
    assert len(row.attempts.get().trunk) == 64
    assert stream.xlen(REJECTED_STREAM) == 0


def test_the_group_is_made_again_after_redis_was_emptied(stream, add, writer):
    writer.write_once()
    stream.delete(STREAM)
    add(record())
    writer.write_once()
    assert writer.write_once() == 1
    assert Cdr.objects.count() == 1


def test_redis_emptied_while_the_writer_waits_is_no_failure(stream, add, make_writer):
    waiting = make_writer()
    lost = redis.ResponseError("UNBLOCKED the stream key no longer exists")
    with patch.object(waiting, "_read", side_effect=lost):
        assert waiting.write_once() == 0
    add(record())
    assert waiting.write_once() == 1


def test_an_answer_of_redis_that_is_no_loss_of_the_stream_is_raised(writer):
    with (
        patch.object(writer, "_read", side_effect=redis.ResponseError("LOADING")),
        pytest.raises(redis.ResponseError, match="LOADING"),
    ):
        writer.write_once()


def test_an_entry_deleted_by_hand_is_forgotten(stream, add, make_writer):
    add(record())
    make_writer()._ensure_group()
    stream.xreadgroup(GROUP, "records@test", {STREAM: ">"})
    stream.xtrim(STREAM, maxlen=0)
    make_writer().write_once()
    assert pending(stream) == 0
    assert stream.xlen(REJECTED_STREAM) == 0


@pytest.mark.django_db(transaction=True)
def test_a_running_writer_outlives_a_database_that_goes_away_and_comes_back(
    stream, add, writer, caplog
):
    add(record())
    stop = threading.Event()
    written = threading.Event()
    real, failed = writer_module.store_rows, threading.Event()

    def away_once(rows, also):
        if not failed.is_set():
            failed.set()
            raise OperationalError("connection refused")
        count = real(rows, also)
        written.set()
        return count

    with patch.object(writer_module, "store_rows", away_once):
        thread = threading.Thread(target=writer.run, args=(stop,))
        thread.start()
        assert written.wait(30)
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
    assert Cdr.objects.count() == 1
    assert caplog.text.count("The database does not take part") == 1


def test_a_writer_told_to_stop_leaves_while_redis_is_away(redis_url):
    away = writer_module.CdrWriter("redis://127.0.0.1:1/0", "records@test")
    stop = threading.Event()
    thread = threading.Thread(target=away.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
