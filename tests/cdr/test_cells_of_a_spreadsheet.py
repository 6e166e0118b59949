"""What is exported runs nowhere, whatever a reader splits lines and cells at."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdr.cells import guarded, unguarded
from cdr.export import FIELDS, FORMATS

HOSTILE = [
    f"{before}{begins}{formula}"
    for before in ("", "x", "x;", "x\t", "x\n", 'x";', "x; ;", ";", "\t\t", "'", "''", ";'")
    for begins in ("", "'", " ", '"', '" ', " '")
    for formula in (
        "\uff1d1+1",
        "\uff0b1",
        "\uff0d1",
        "\uff20SUM(A1)",
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "=HYPERLINK(1)",
    )
]


RUNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def run(text):
    """What the least careful reader would run: split at every separator, quotes or not."""
    cells = re.split(r"[;\t\r\n]", text)
    return [cell for cell in cells if cell.lstrip(' "').startswith(RUNS)]


@pytest.mark.parametrize("cell", HOSTILE)
def test_no_part_of_a_hostile_cell_runs(cell):
    assert run(guarded(cell)) == []


@given(st.text("ab\uff1d=+-@;\t\r\n' \"|:") | st.text())
def test_any_cell_is_harmless_and_comes_back_as_it_was(cell):
    assert run(guarded(cell)) == []
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("cell", ["", "49", "demo", "it's", "a-b", "a;b", "mon-fri 08:00-18:00"])
def test_what_is_harmless_is_written_as_it_is(cell):
    assert guarded(cell) == cell


def test_files_of_call_records_are_guarded_by_the_same():
    """Whoever calls says what the caller's name is."""
    rows = [tuple(cell if name == "caller_name" else "" for name in FIELDS) for cell in HOSTILE]
    text = b"".join(FORMATS["csv"].chunks(rows)).decode("utf-8-sig")
    written = [line["caller_name"] for line in csv.DictReader(io.StringIO(text, newline=""))]

    assert [cell for cell in written if run(cell)] == []
    assert list(map(unguarded, written)) == HOSTILE
