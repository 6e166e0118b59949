"""`manage.py export_cdrs` writes what the admin exports."""

import csv

import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from cdr.writer import store
from tests.cdr.made_up import STARTED_MS, record

pytestmark = pytest.mark.django_db
DAY_MS = 86_400_000


@pytest.fixture(autouse=True)
def records(db):
    store([record(f"pbx1:{n}", started_ms=STARTED_MS + n * DAY_MS) for n in range(3)])
    store([record("pbx1:beta", account="beta", callee_normalised="331")])


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({}, ["pbx1:0", "pbx1:beta", "pbx1:1", "pbx1:2"]),
        ({"account": "beta"}, ["pbx1:beta"]),
        ({"callee": "33"}, ["pbx1:beta"]),
        ({"since": "2025-10-10", "until": "2025-10-11T00:00"}, ["pbx1:1"]),
        ({"trunk": "carrier-z"}, []),
    ],
)
def test_what_is_asked_for_is_written_oldest_first(tmp_path, options, calls):
    file = tmp_path / "calls.csv"
    call_command("export_cdrs", file, **options)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        assert [line["call_id"] for line in csv.DictReader(lines)] == calls
    assert list(tmp_path.iterdir()) == [file]


def test_the_files_ending_says_the_form(tmp_path):
    call_command("export_cdrs", tmp_path / "calls.parquet")
    assert pq.read_table(tmp_path / "calls.parquet").num_rows == 4


def test_standard_output_is_csv(capsysbinary):
    call_command("export_cdrs")
    assert len(capsysbinary.readouterr().out.splitlines()) == 5


@pytest.mark.parametrize(
    ("file", "options", "words"),
    [
        ("calls.xls", {}, "ends neither in"),
        ("calls.csv", {"since": "yesterday"}, "--since is 'yesterday'"),
        ("calls.csv", {"until": "2025-13-45"}, "--until is '2025-13-45'"),
        ("no/such/folder.csv", {}, "cannot be written"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(tmp_path, file, options, words):
    with pytest.raises(CommandError, match=words):
        call_command("export_cdrs", tmp_path / file, **options)
