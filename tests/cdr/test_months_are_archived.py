"""Months leave the database when a file that was read back holds them, whatever is cut off."""

import stat
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cdr import archive, rollup, writer
from cdr.archive import Month
from cdr.errors import CdrError
from cdr.models import BegunCall, Cdr, CdrArchive, CdrAttempt, HourDue, HourlyCalls
from cdr.retention import drop_begun
from cdr.stream import FIELD, REJECTED_STREAM, STREAM
from tests.cdr.made_up import attempt, record

pytestmark = pytest.mark.django_db(transaction=True)
OCTOBER, NOVEMBER = Month(2025, 10), Month(2025, 11)


@pytest.fixture(autouse=True)
def _redis(settings, redis_url, clean_redis, tmp_path):
    settings.REDIS_URL = redis_url
    settings.ARCHIVE_FOLDER = str(tmp_path / "archive")
    settings.CDR_MONTHS = 2


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "archive"


def ms(*moment):
    return round(datetime(*moment, tzinfo=UTC).timestamp() * 1000)


def call(number, at_ms, **changes):
    """A record of two attempts, begun then."""
    return record(
        f"pbx1:{number}",
        started_ms=at_ms,
        ringing_ms=at_ms + 500,
        answered_ms=at_ms + 2_500,
        ended_ms=at_ms + 12_600,
        attempts=(attempt(), attempt(number=2)),
        **changes,
    )


def write(*records):
    """Write them as the writer does, with the note of each call's begin, and add the hours up."""
    writer.store_begun((each.call_id, each.started_ms) for each in records)
    writer.store(records)
    while rollup.add_up():
        pass


@pytest.fixture
def autumn():
    """Three calls in October, its first and its last moment among them, and two around it."""
    write(
        call(1, ms(2025, 9, 30, 23, 59, 59)),
        call(2, ms(2025, 10, 1)),
        call(3, ms(2025, 10, 15, 12)),
        call(4, ms(2025, 11, 1) - 1),
        call(5, ms(2025, 11, 1)),
    )


def run(*arguments):
    out = StringIO()
    call_command("archive_cdrs", *arguments, stdout=out)
    return out.getvalue()


def calls():
    return set(Cdr.objects.values_list("call_id", flat=True))


@pytest.mark.usefixtures("autumn")
def test_a_month_is_in_files_and_only_then_off_the_database(folder):
    said = run("--month", "2025-10")

    assert "2025-10: 3 records and 6 attempts are in" in said
    assert "3 records are deleted" in said
    assert calls() == {"pbx1:1", "pbx1:5"}
    assert CdrAttempt.objects.count() == 4
    assert set(BegunCall.objects.values_list("call_id", flat=True)) == {"pbx1:1", "pbx1:5"}
    table = pq.read_table(folder / "cdrs-2025-10.parquet").to_pydict()
    assert table["call_id"] == ["pbx1:2", "pbx1:3", "pbx1:4"]
    assert table["started_at"][0] == datetime(2025, 10, 1, tzinfo=UTC)
    attempts = pq.read_table(folder / "attempts-2025-10.parquet").to_pydict()
    assert attempts["cdr_id"] == [key for key in table["id"] for _ in range(2)]
    noted = CdrArchive.objects.get()
    assert (noted.cdrs, noted.attempts, noted.billsec) == (3, 6, sum(table["billsec"]))
    assert noted.dropped_at is not None
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.usefixtures("autumn")
def test_sums_by_hour_outlive_the_records_and_no_late_one_takes_their_place(caplog):
    before = HourlyCalls.objects.order_by("pk").values_list("hour", "kind", "key", "attempts")
    sums = list(before)
    run("--month", "2025-10")
    assert list(before.all()) == sums
    writer.store([call(9, ms(2025, 10, 15, 12, 1))])
    while rollup.add_up():
        pass
    assert list(before.all()) == sums
    assert "a record came after its month was archived" in caplog.text


@pytest.mark.usefixtures("autumn")
def test_a_record_that_comes_late_goes_into_a_further_file(folder):
    run("--month", "2025-10")
    writer.store([call(9, ms(2025, 10, 15, 12, 1))])
    while rollup.add_up():
        pass
    assert "1 records and 2 attempts" in run("--month", "2025-10")
    assert pq.read_table(folder / "cdrs-2025-10.2.parquet")["call_id"].to_pylist() == ["pbx1:9"]
    assert "no record is left" in run("--month", "2025-10")
    assert pq.read_table(folder / "cdrs-2025-10.parquet").num_rows == 3


@pytest.mark.usefixtures("autumn")
def test_files_that_lack_a_record_delete_nothing(folder, monkeypatch):
    whole = archive._write

    def short(path, model, queryset):
        whole(path, model, queryset[:2] if model is Cdr else queryset)

    monkeypatch.setattr(archive, "_write", short)
    with pytest.raises(CommandError, match=r"nothing is deleted"):
        run("--month", "2025-10")
    assert len(calls()) == 5
    assert not CdrArchive.objects.exists()


@pytest.mark.usefixtures("autumn")
def test_a_file_that_was_changed_after_it_was_proven_deletes_nothing(folder):
    run("--month", "2025-10", "--keep")
    assert len(calls()) == 5
    path = folder / "cdrs-2025-10.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CommandError, match="is not the file that was archived"):
        run("--month", "2025-10")
    assert len(calls()) == 5


@pytest.mark.usefixtures("autumn")
def test_a_run_that_was_cut_off_in_the_middle_is_finished_by_the_next(folder, monkeypatch):
    monkeypatch.setattr(archive, "BATCH", 1)
    found = archive.write(OCTOBER, folder)

    def die(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.drop(found, folder, die)
    assert len(calls()) == 4
    assert archive.undropped(OCTOBER) == [found]

    run("--month", "2025-10")
    assert calls() == {"pbx1:1", "pbx1:5"}
    assert CdrArchive.objects.count() == 1, "what is in a file already is not written twice"
    assert archive.undropped(OCTOBER) == []


@pytest.mark.usefixtures("autumn")
def test_only_months_older_than_those_kept_go(monkeypatch):
    december = datetime(2025, 12, 20, tzinfo=UTC)
    assert archive.months_to_archive(2, december) == [Month(2025, 9)]
    assert archive.months_to_archive(1, december) == [Month(2025, 9), OCTOBER]
    first = datetime(2025, 12, 1, tzinfo=UTC)
    assert archive.months_to_archive(0, first) == [Month(2025, 9), OCTOBER]
    assert archive.months_to_archive(0, first + timedelta(days=2))[-1] == NOVEMBER


def test_without_a_word_all_records_are_kept(settings):
    settings.CDR_MONTHS = 0
    with pytest.raises(CommandError, match="kept for ever"):
        run()


@pytest.mark.usefixtures("autumn")
def test_a_dry_run_and_one_without_a_month_take_what_is_old():
    assert run("--dry-run").splitlines()[0].startswith("2025-09 would be archived")
    assert len(calls()) == 5
    run()
    assert calls() == set()


def test_a_month_that_is_not_over_stays():
    now = timezone.now()
    with pytest.raises(CommandError, match="is not over for 2 days"):
        run("--month", f"{now:%Y-%m}")


@pytest.mark.parametrize(
    ("stream", "words"), [(STREAM, "wait for the database"), (REJECTED_STREAM, "are set aside")]
)
@pytest.mark.usefixtures("autumn")
def test_a_month_with_records_on_their_way_stays(clean_redis, stream, words):
    clean_redis.xadd(stream, {FIELD: call(7, ms(2025, 11, 3)).to_json()})
    run("--month", "2025-09")
    clean_redis.xadd(stream, {FIELD: call(8, ms(2025, 10, 3)).to_json()})
    with pytest.raises(CommandError, match=f"1 records of 2025-10 {words}"):
        run("--month", "2025-10")
    clean_redis.xadd(stream, {FIELD: b"what nobody can read"})
    with pytest.raises(CommandError, match="2 records"):
        run("--month", "2025-10")


def test_a_month_whose_hours_are_not_added_up_stays():
    writer.store([call(1, ms(2025, 10, 3))])
    assert HourDue.objects.exists()
    with pytest.raises(CommandError, match="1 hours of 2025-10 have yet to be added up"):
        run("--month", "2025-10")


def test_months_are_counted_over_the_turn_of_the_year():
    assert Month(2025, 12).plus(1) == Month(2026, 1)
    assert Month(2026, 1).plus(-1) == Month(2025, 12)
    assert Month(2026, 1).plus(-13) == Month(2024, 12)
    assert str(Month.parse("2026-07")) == "2026-07"
    with pytest.raises(ValueError, match="unconverted data"):
        Month.parse("2026-13")


def test_notes_of_calls_that_began_are_dropped_by_whole_days():
    now = datetime(2025, 11, 10, 15, tzinfo=UTC)
    writer.store_begun(
        [
            ("pbx1:1", ms(2025, 11, 6, 23, 59, 59)),
            ("pbx1:2", ms(2025, 11, 7)),
            ("pbx1:3", ms(2025, 11, 10)),
        ]
    )
    assert drop_begun(3, threading.Event(), now) == 1
    assert set(BegunCall.objects.values_list("call_id", flat=True)) == {"pbx1:2", "pbx1:3"}
    stopped = threading.Event()
    stopped.set()
    assert drop_begun(0, stopped, now) == 0


def test_the_ledger_of_a_day_whose_notes_are_dropped_complains_of_nothing():
    from calls.store.ledger import ledger

    write(call(1, ms(2025, 11, 6, 10)), call(2, ms(2025, 11, 8, 10)))
    drop_begun(3, threading.Event(), datetime(2025, 11, 10, tzinfo=UTC))
    assert ledger(datetime(2025, 11, 6, tzinfo=UTC).date()).is_green
    today = ledger(datetime(2025, 11, 8, tzinfo=UTC).date())
    assert (today.begun, today.written, today.is_green) == (1, 1, True)


def test_the_admin_shows_what_is_in_files(admin_client, autumn):
    run("--month", "2025-10")
    shown = admin_client.get("/admin/cdr/cdrarchive/").content.decode()
    assert "cdrs-2025-10.parquet" in shown


def test_a_file_of_another_month_in_its_place_deletes_nothing(folder, autumn):
    run("--month", "2025-10", "--keep")
    found = CdrArchive.objects.get()
    found.cdr_file = "none.parquet"
    with pytest.raises((CdrError, OSError)):
        archive.drop(found, folder)
    assert len(calls()) == 5
