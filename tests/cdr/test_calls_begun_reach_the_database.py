"""The notes of calls that began become rows, each once, whatever fails in between."""

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from django.db import OperationalError

from cdr import writer as writer_module
from cdr.models import BegunCall
from cdr.stream import BEGUN_FIELD, BEGUN_STREAM
from tests.cdr.made_up import record

pytestmark = pytest.mark.django_db


@pytest.fixture
def begin(stream):
    """Notes that calls began, as the script does that begins them."""
    stream.delete(BEGUN_STREAM)

    def begin(*calls, at_ms=1_760_000_000_000):
        for number, call in enumerate(calls):
            stream.xadd(BEGUN_STREAM, {BEGUN_FIELD: call}, id=f"{at_ms}-{number + 1}")

    yield begin
    stream.delete(BEGUN_STREAM)


def test_a_note_becomes_a_row_and_leaves_the_stream(stream, begin, writer):
    begin("pbx1:1", "pbx1:2")
    writer.write_once()

    assert set(BegunCall.objects.values_list("call_id", flat=True)) == {"pbx1:1", "pbx1:2"}
    assert BegunCall.objects.first().begun_at == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)
    assert stream.xlen(BEGUN_STREAM) == 0


def test_more_notes_than_a_batch_holds_are_taken_in_at_once(stream, begin, writer):
    begin(*(f"pbx1:{number}" for number in range(writer_module.BATCH + 1)))
    writer.write_once()

    assert BegunCall.objects.count() == writer_module.BATCH + 1
    assert stream.xlen(BEGUN_STREAM) == 0


def test_notes_stay_while_the_database_is_down(stream, begin, writer):
    begin("pbx1:1")
    with (
        patch.object(writer_module, "store_begun", side_effect=OperationalError("refused")),
        pytest.raises(OperationalError),
    ):
        writer.write_once()

    assert stream.xlen(BEGUN_STREAM) == 1
    writer.write_once()
    assert BegunCall.objects.count() == 1


def test_a_call_that_is_noted_twice_is_one_row_with_its_first_time(begin, writer):
    begin("pbx1:1")
    writer.write_once()
    begin("pbx1:1", "pbx1:1", at_ms=1_760_000_009_000)
    writer.write_once()

    assert BegunCall.objects.get().begun_at == datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)


def test_a_hostile_channel_id_is_cut_and_cleaned(begin, writer, add):
    begin("pbx1:\0" + "9" * 300, b"pbx1:\xff")
    add(record())
    assert writer.write_once() == 1

    assert sorted(map(len, BegunCall.objects.values_list("call_id", flat=True))) == [6, 200]
