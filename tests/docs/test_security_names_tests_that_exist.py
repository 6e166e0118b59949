"""docs/security.md: each line of its tables names what shows it, and that is there."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
DOCUMENT = ROOT / "docs" / "security.md"
DOORS = 8
FEWEST = 60
"""Hostile inputs that are promised at each door."""


def rows():
    """The cells of each line of a table, without heads."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [each for each in cells if each[-1] not in ("test",) and set(each[0]) - set("- |")]


def every_test():
    """The names of all tests there are."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
    return found


ROWS = rows()
NAMED = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[-1])})


def test_the_tables_are_read():
    assert len(ROWS) > 60
    assert len(NAMED) > 60


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_each_line_names_what_shows_it(row):
    assert re.search(r"`tests/|`test_|`…|^the same|^…", row[-1]), row


def test_what_is_named_is_there():
    """``test_x…`` and ``…_x`` stand for the one test whose name begins or ends so."""
    known, missing = every_test(), []
    for name in NAMED:
        if name.startswith("tests/"):
            there = (ROOT / name).exists()
        else:
            parts = re.escape(name).replace("…", ".*")
            there = any(re.fullmatch(parts, each) for each in known)
        if not there:
            missing.append(name)
    assert missing == []


def test_every_door_has_its_inputs_and_a_test_that_tries_them():
    table = DOCUMENT.read_text().split("## Toll fraud")[0]
    named = re.findall(r"`([a-z_]+)`", table.split("| door |")[1])
    there = sorted(path.stem for path in (ROOT / "tests/security/hostile").glob("*.jsonl"))
    assert sorted(named) == there
    assert len(there) == DOORS
    for door in there:
        lines = (ROOT / f"tests/security/hostile/{door}.jsonl").read_text().split("\n")
        inputs = {line for line in lines if line.strip() and not line.startswith("#")}
        assert len(inputs) >= FEWEST, door
        tried = [
            path
            for path in (ROOT / "tests/security").glob("test_*.py")
            if f'hostile("{door}")' in path.read_text()
        ]
        assert tried, door
