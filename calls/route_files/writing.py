"""A list of routes written as a file, line by line."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from calls.route_files.spec import COLUMNS, RouteSpec, TargetSpec
from cdr.cells import guarded


def to_lines(routes: Iterable[RouteSpec]) -> Iterator[str]:
    """The header and one line for each route, each with its line ending."""
    line = _Line()
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    yield line.text
    for spec in routes:
        texts = texts_of(spec)
        writer.writerow(guarded(texts[column]) for column in COLUMNS)
        yield line.text


def line_of(texts: Mapping[str, str]) -> list[str]:
    """The header, and the line with these values by column."""
    line = _Line()
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    lines = [line.text]
    writer.writerow(guarded(texts[column]) for column in COLUMNS)
    return [*lines, line.text]


def texts_of(spec: RouteSpec) -> dict[str, str]:
    """The route's values as a file has them, by column."""
    return {
        "prefix": spec.prefix,
        "account": spec.account,
        "action": spec.action,
        "enabled": "true" if spec.enabled else "false",
        "note": spec.note,
        "targets": targets_text(spec),
        "valid_from": time_text(spec.valid_from),
        "valid_until": time_text(spec.valid_until),
        "schedule": spec.schedule,
    }


def time_text(time: datetime | None) -> str:
    """A time as a cell says it; '' for none."""
    return "" if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def targets_text(spec: RouteSpec) -> str:
    """A route's trunks in one cell."""
    return "|".join(map(_target_text, spec.targets))


class _Line:
    """A file that remembers the last line only."""

    text = ""

    def write(self, text: str) -> int:
        self.text = text
        return len(text)


def _target_text(target: TargetSpec) -> str:
    text = f"{_escaped(target.trunk)}:{target.priority}:{target.weight}"
    if target.strip_digits or target.add_prefix:
        text += f":{target.strip_digits}:{target.add_prefix}"
    return text


def _escaped(name: str) -> str:
    return re.sub(r"([\\|:])", r"\\\1", name)
