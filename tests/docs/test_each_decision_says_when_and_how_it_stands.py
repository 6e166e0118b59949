"""A decision has a number of its own, the day on which it was made, and how it stands."""

import re
from pathlib import Path

import pytest

DECISIONS = sorted((Path(__file__).resolve().parents[2] / "docs" / "decisions").glob("*.md"))


def test_no_two_have_one_number() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert len(numbers) > 30
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name[:4])
def test_its_number_its_day_and_its_status_stand_at_its_head(path: Path) -> None:
    head = path.read_text()
    pattern = rf"# {int(path.name[:4])}\. .+\n\nDate: \d{{4}}-\d\d-\d\d\. Status: \w+"
    assert re.match(pattern, head), head[:120]
