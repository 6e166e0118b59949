"""A file read: its good lines as routes, and what is wrong with each of the others."""

import csv
import io
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from calls.errors import CallError
from calls.models import Route, RouteTarget
from calls.route_files.spec import COLUMNS, REQUIRED, Key, RouteSpec, TargetSpec
from cdr.cells import unguarded

SHOWN_CELL = 64
"""Characters of a wrong cell that an error repeats."""
MOST_ERRORS = 1_000
"""Bad lines after which a file that somebody uploads is given up: nobody reads more of them."""
TICK = 1_000
"""Lines between two reports of progress."""

_YES = frozenset({"true", "yes", "1"})
_NO = frozenset({"false", "no", "0"})

Tick = Callable[[int], None]
"""Told how many more lines or routes are done."""


class FileRefused(CallError):
    """A file that is no list of routes at all, such as one with a wrong header."""


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with a line; the header is line 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Deck:
    """A file as it was read: its good routes by key, and its bad lines.

    ``whole`` is false where reading ended at so many bad lines that the rest was not looked at.
    """

    columns: tuple[str, ...]
    routes: Mapping[Key, RouteSpec]
    errors: tuple[LineError, ...]
    whole: bool = True

    def completed(self, spec: RouteSpec, existing: RouteSpec) -> RouteSpec:
        """The route with those values of the existing one whose column the file leaves out."""
        left_out = [name for name in COLUMNS if name not in self.columns]
        return replace(spec, **{name: getattr(existing, name) for name in left_out})


def decode(data: bytes) -> str:
    """The file's text. Raises FileRefused where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileRefused(
            f"The file is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x} that "
            'UTF-8 does not have there. Save it as "CSV UTF-8".'
        ) from error


def parse(
    text: str,
    accounts: Collection[str],
    trunks: Collection[str],
    tick: Tick = lambda lines: None,
    most_errors: int | None = None,
) -> Deck:
    """Read a file whose accounts and trunks must be among those given (by code, by name).

    After ``most_errors`` bad lines the rest is not read. Raises FileRefused where the header does
    not name the columns.
    """
    header, delimiter = _header(text)
    columns = _columns(header)
    reading = _Reading(columns, frozenset(accounts), frozenset(trunks))
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    next(records)
    reported = records.line_num
    while whole := most_errors is None or len(reading.errors) < most_errors:
        line = records.line_num + 1
        try:
            cells = next(records)
        except StopIteration:
            break
        except csv.Error as error:
            reading.errors.append(LineError(line, f"this is no line of CSV: {error}"))
            continue
        reading.take(line, cells)
        if records.line_num - reported >= TICK:
            tick(records.line_num - reported)
            reported = records.line_num
    tick(records.line_num - reported)
    return Deck(columns, reading.routes, tuple(reading.errors), whole)


class _Reading:
    """The good and the bad lines so far."""

    def __init__(
        self, columns: tuple[str, ...], accounts: frozenset[str], trunks: frozenset[str]
    ) -> None:
        self.routes: dict[Key, RouteSpec] = {}
        self.errors: list[LineError] = []
        self._columns = columns
        self._accounts = accounts
        self._trunks = trunks
        self._lines: dict[Key, int] = {}
        # The same few texts stand in most lines; a deck of 100,000 has some dozens of them.
        self._targets_of = lru_cache(maxsize=10_000)(self._targets)

    def take(self, line: int, cells: list[str]) -> None:
        width = len(self._columns)
        if not any(cells):
            return
        if len(cells) < width or any(cells[width:]):
            self.errors.append(
                LineError(line, f"has {len(cells)} cells where the header has {width}")
            )
            return
        given = dict(zip(self._columns, map(unguarded, cells), strict=False))
        spec, wrong = self._spec(given)
        if not wrong and spec.key in self._lines:
            wrong = [f"line {self._lines[spec.key]} already has the route {spec.name}"]
        if wrong:
            self.errors.append(LineError(line, "; ".join(wrong)))
            return
        self._lines[spec.key] = line
        self.routes[spec.key] = spec

    def _spec(self, given: dict[str, str]) -> tuple[RouteSpec, list[str]]:
        wrong: list[str] = []

        def read(column: str, reader: Callable[[str], Any], default: Any) -> Any:
            if column not in given:
                return default
            try:
                return reader(given[column])
            except ValueError as error:
                wrong.append(f"{column} {given[column][:SHOWN_CELL]!r}: {error}")
                return default

        spec = RouteSpec(
            prefix=read("prefix", _prefix, ""),
            account=read("account", self._account, ""),
            action=read("action", _action, ""),
            enabled=read("enabled", _enabled, True),
            note=read("note", _note, ""),
            targets=read("targets", self._targets_of, ()),
            valid_from=read("valid_from", _time, None),
            valid_until=read("valid_until", _time, None),
            schedule=read("schedule", _schedule, ""),
        )
        if not wrong and spec.action == Route.Action.ROUTE and not spec.targets:
            wrong.append("a route to trunks needs at least one trunk in targets")
        if not wrong and spec.valid_from and spec.valid_until:
            wrong += _validity(spec)
        return spec, wrong

    def _account(self, cell: str) -> str:
        code = cell.strip()
        if code and code not in self._accounts:
            raise ValueError("there is no account with this code")
        return code

    def _targets(self, cell: str) -> tuple[TargetSpec, ...]:
        if not cell.strip():
            return ()
        targets = [self._target(part) for part in _split(cell, "|")]
        names = [target.trunk for target in targets]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the trunk {twice!r} stands there twice")
        return tuple(sorted(targets))

    def _target(self, text: str) -> TargetSpec:
        name, *rest = (_unescaped(part.strip()) for part in _split(text, ":"))
        if name not in self._trunks:
            raise ValueError(f"there is no trunk named {name[:SHOWN_CELL]!r}")
        if len(rest) > 4:
            raise ValueError(
                f"{text.strip()[:SHOWN_CELL]!r} is more than trunk:priority:weight:strip:add"
            )
        priority, weight, strip, add = (*rest, "", "", "", "")[:4]
        return TargetSpec(
            _number("priority", priority),
            name,
            _number("weight", weight),
            _number("strip_digits", strip),
            _added(add),
        )


def _header(text: str) -> tuple[list[str], str]:
    first = io.StringIO(text, newline="").readline()
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        header = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise FileRefused(f"The file's first line is no line of CSV: {error}.") from error
    names = [unguarded(cell).strip().lower() for cell in header]
    while names and not names[-1]:
        names.pop()
    return names, delimiter


def _columns(names: list[str]) -> tuple[str, ...]:
    wanted = f"The first line must name the columns: {','.join(COLUMNS)}."
    if not names:
        raise FileRefused(f"The file is empty. {wanted}")
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        named = ", ".join(repr(name[:SHOWN_CELL]) for name in unknown[:10])
        raise FileRefused(
            f"The first line names columns that routes do not have: {named}. {wanted}"
        )
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise FileRefused(f"The first line lacks the columns {', '.join(missing)}. {wanted}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileRefused(f"The first line names {', '.join(twice)} more than once. {wanted}")
    return tuple(names)


def _prefix(cell: str) -> str:
    return str(_clean(Route, "prefix", cell.strip()))


@lru_cache(maxsize=100)
def _action(cell: str) -> str:
    action = cell.strip().lower()
    if action not in Route.Action.values:
        raise ValueError(f"must be {' or '.join(Route.Action.values)}")
    return action


@lru_cache(maxsize=100)
def _enabled(cell: str) -> bool:
    word = cell.strip().lower()
    if word not in _YES | _NO:
        raise ValueError("must be true or false")
    return word in _YES


@lru_cache(maxsize=10_000)
def _note(cell: str) -> str:
    if "\0" in cell:
        raise ValueError("holds a NUL character, which no database keeps")
    return str(_clean(Route, "note", cell))


@lru_cache(maxsize=10_000)
def _time(cell: str) -> datetime | None:
    text = cell.strip()
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time such as 2026-01-31T08:00:00Z") from None


@lru_cache(maxsize=10_000)
def _schedule(cell: str) -> str:
    return str(_clean(Route, "schedule", cell.strip()))


def _validity(spec: RouteSpec) -> list[str]:
    try:
        Route(valid_from=spec.valid_from, valid_until=spec.valid_until).clean()
    except ValidationError as error:
        return [f"{name}: {message[0].rstrip('.')}" for name, message in error.message_dict.items()]
    return []


@lru_cache(maxsize=10_000)
def _added(text: str) -> str:
    try:
        return str(_clean(RouteTarget, "add_prefix", text))
    except ValueError as error:
        raise ValueError(f"the prefix to add {text[:SHOWN_CELL]!r}: {error}") from error


@lru_cache(maxsize=10_000)
def _number(field: str, text: str) -> int:
    if not text:
        return int(_field(RouteTarget, field).get_default())
    label = {"strip_digits": "number of digits to strip"}.get(field, field)
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"the {label} {text[:SHOWN_CELL]!r} is no whole number")
    try:
        return int(_clean(RouteTarget, field, text))
    except ValueError as error:
        raise ValueError(f"the {label} {text[:SHOWN_CELL]}: {error}") from error


def _clean(model: type[models.Model], name: str, value: str) -> Any:
    """The value as the model's field takes it, by the same rules as in the admin."""
    try:
        return _field(model, name).clean(value, None)
    except ValidationError as error:
        raise ValueError(error.messages[0].rstrip(".")) from error


@lru_cache
def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _split(text: str, separator: str) -> list[str]:
    """Part the text at the separator, but not where a backslash stands before it."""
    return re.findall(
        rf"(?:^|{re.escape(separator)})((?:\\.|[^\\{re.escape(separator)}])*\\?)", text, re.S
    )


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name, flags=re.S)
