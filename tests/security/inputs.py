"""The hostile inputs: one JSON value a line in hostile/<door>.jsonl, lines with # are remarks.

To try another input, add a line; the tests of that door take it up by themselves.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("hostile")
FEWEST = 60
"""Inputs at each door."""


def hostile(door: str) -> list[Any]:
    """Every input of a door, in the order of its file."""
    lines = (FOLDER / f"{door}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line.strip() and not line.startswith("#")]
