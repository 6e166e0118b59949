"""A call that ended twice, as Redis went back in between: the record that was heard is kept.

The one that rests on what was found may come first; decision 38.
"""

from unittest.mock import patch

import pytest
from django.db import OperationalError

from cdr import writer as writer_module
from cdr.found_ends import WAIT_S, FoundEnds
from cdr.models import Cdr
from cdr.record import Integrity
from cdr.stream import FIELD, GROUP, REJECTED_STREAM, STREAM
from cdr.writer import CdrWriter
from tests.cdr.made_up import STARTED_MS, record

pytestmark = pytest.mark.django_db


class Clock:
    """A steady clock that moves when it is told to."""

    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s

    def pass_by(self, seconds):
        self.now_s += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_writer(redis_url, clock):
    made = []

    def make():
        found = FoundEnds(steady_s=clock)
        made.append(CdrWriter(redis_url, "records@test", block_ms=10, found_ends=found))
        return made[-1]

    yield make
    for writer in made:
        writer.close()


def found(call="pbx1:1760000000.1", **changes):
    """The call's record as a comparison has it: it was gone a second later."""
    changes = {"ended_ms": STARTED_MS + 13_600} | changes
    return record(call, integrity=Integrity.RECOVERED, **changes)


def test_a_record_that_was_heard_is_kept_though_it_comes_second(stream, add, writer, clock):
    add(found())
    writer.write_once()
    add(record())
    writer.write_once()
    clock.pass_by(WAIT_S)
    writer.write_once()
    row = Cdr.objects.get()
    assert (row.integrity, row.talk_ms) == ("complete", 10_100)
    assert (stream.xlen(STREAM), stream.xlen(REJECTED_STREAM)) == (0, 0)


def test_a_record_that_was_found_is_written_after_its_wait(stream, add, writer, clock):
    add(found())
    writer.write_once()
    clock.pass_by(WAIT_S - 0.001)
    writer.write_once()
    assert not Cdr.objects.exists()
    assert stream.xlen(STREAM) == 1

    clock.pass_by(0.001)
    writer.write_once()
    assert Cdr.objects.get().integrity == "recovered"
    assert stream.xlen(STREAM) == 0


def test_what_waits_holds_up_no_other_record(add, writer):
    add(found("pbx1:1"), record("pbx1:2"))
    writer.write_once()
    assert Cdr.objects.get().call_id == "pbx1:2"


def test_a_writer_that_dies_with_what_waits_loses_nothing(stream, add, make_writer, clock):
    add(found())
    make_writer().write_once()
    heir = make_writer()
    heir.write_once()
    assert stream.xpending(STREAM, GROUP)["pending"] == 1
    clock.pass_by(WAIT_S)
    heir.write_once()
    assert Cdr.objects.count() == 1
    assert stream.xlen(STREAM) == 0


def test_more_than_a_batch_that_waits_hides_nothing_behind_it(
    stream, add, make_writer, clock, monkeypatch
):
    monkeypatch.setattr(writer_module, "BATCH", 2)
    add(*(found(f"pbx1:{number}") for number in range(5)), record("pbx1:heard"))
    dying = make_writer()
    for _ in range(3):
        dying.write_once()
    assert Cdr.objects.get().call_id == "pbx1:heard"

    heir = make_writer()
    add(record("pbx1:later"))
    for _ in range(4):
        heir.write_once()
    assert set(Cdr.objects.values_list("call_id", flat=True)) == {"pbx1:heard", "pbx1:later"}
    clock.pass_by(WAIT_S)
    for _ in range(3):
        heir.write_once()
    assert Cdr.objects.count() == 7
    assert stream.xlen(STREAM) == 0


def test_a_failure_has_no_record_wait_once_more(stream, add, writer, clock):
    add(found())
    writer.write_once()
    clock.pass_by(WAIT_S)
    with (
        patch.object(writer_module, "store_rows", side_effect=OperationalError("gone")),
        pytest.raises(OperationalError),
    ):
        writer.write_once()
    writer.write_once()
    assert Cdr.objects.count() == 1
    assert stream.xlen(STREAM) == 0


def test_many_that_have_waited_are_no_larger_a_batch_than_the_database_takes(
    add, writer, write_all, clock
):
    add(*(found(f"pbx1:{number}") for number in range(100)))
    writer.write_once()
    clock.pass_by(WAIT_S)
    write_all(writer)
    assert Cdr.objects.count() == 100


def test_what_waits_outlives_a_redis_that_forgets_it(stream, add, writer, clock):
    add(found())
    writer.write_once()
    stream.delete(STREAM)
    clock.pass_by(WAIT_S)
    writer.write_once()
    writer.write_once()
    assert Cdr.objects.count() == 1


def test_thousands_that_have_waited_wait_for_no_other_record(
    stream, add, writer, clock, monkeypatch
):
    """As after an Asterisk that ended with all of its calls: a turn writes a batch of them."""
    waits = []
    read = writer._read

    def noted(after, block=None):
        waits.append(block)
        return read(after, block)

    add(*(found(f"pbx1:{number}") for number in range(1_200)))
    for _ in range(4):
        writer.write_once()
    monkeypatch.setattr(writer, "_read", noted)
    clock.pass_by(WAIT_S)
    while stream.xlen(STREAM):
        writer.write_once()
    assert waits == [None, None, None]
    writer.write_once()
    assert waits[-1] == 10


@pytest.mark.parametrize("second", [found, record])
def test_an_id_that_is_given_once_more_is_another_record(stream, writer, clock, second):
    """As by a promoted copy whose clock is behind."""
    stream.xadd(STREAM, {FIELD: found("pbx1:1").to_json()}, id="5000-0")
    writer.write_once()
    stream.delete(STREAM)
    stream.xadd(STREAM, {FIELD: second("pbx1:2").to_json()}, id="5000-0")
    for _ in range(3):
        writer.write_once()
    clock.pass_by(WAIT_S)
    for _ in range(3):
        writer.write_once()
    assert set(Cdr.objects.values_list("call_id", flat=True)) == {"pbx1:1", "pbx1:2"}
    assert stream.xlen(STREAM) == 0


def test_one_that_has_waited_takes_no_other_off_the_stream(stream, writer, clock):
    stream.xadd(STREAM, {FIELD: found("pbx1:1").to_json()}, id="5000-0")
    writer.write_once()
    clock.pass_by(WAIT_S)
    writer._next_batch = list
    stream.delete(STREAM)
    stream.xadd(STREAM, {FIELD: record("pbx1:2").to_json()}, id="5000-0")
    stream.xgroup_create(STREAM, GROUP, id="0")
    writer.write_once()
    assert Cdr.objects.get().call_id == "pbx1:1"
    assert stream.xlen(STREAM) == 1
