"""What may be set stands in the README's table, once."""

import re
from collections import Counter
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)


def read_from_the_environment() -> set[str]:
    code = (ROOT / "project" / "settings.py").read_text()
    return set(re.findall(r'\benv(?:\.\w+)?\(\s*"([A-Z_]+)"', code))


def told() -> Counter[str]:
    _, _, after = (ROOT / "README.md").read_text().partition("\n## Settings\n")
    table, _, _ = after.partition("\n## ")
    cells = re.findall(r"^\| (`[^|]*) \|", table, flags=re.M)
    return Counter(name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell))


def test_every_setting_is_told_once() -> None:
    assert told() == Counter(read_from_the_environment())
