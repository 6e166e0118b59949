"""Routes as CSV: a file's lines to routes and errors, routes to lines, and what would change. Pure.

A file is UTF-8 (with or without a BOM), parted by commas or semicolons, with any line ending. Its
first line names the columns, in any order. A column that is left out leaves what existing routes
have there, and gives new ones the usual value.

``targets`` are a route's trunks, parted by ``|``, each ``trunk:priority:weight:strip:add``: its
priority (1), weight (100), digits to strip (0) and prefix to add (none), which may be left out
from the end on or be empty. A ``|``, ``:`` or backslash in a trunk's name has a backslash before
it. Times are ISO 8601, such as ``2026-01-31T08:00:00Z``; without an offset they are UTC.

A spreadsheet runs a cell that begins with ``= + - @``, tab or carriage return as a formula. Cells
that do are written with a ``'`` in front, and read back without it.
"""

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from calls.errors import CallError
from calls.live import printable
from calls.models import Route, RouteTarget

COLUMNS = (
    "prefix",
    "account",
    "action",
    "enabled",
    "note",
    "targets",
    "valid_from",
    "valid_until",
    "schedule",
)
REQUIRED = ("prefix", "account", "action", "targets")
"""Without these a line could not be told from another's, or would route nowhere."""

SHOWN_CELL = 64
"""Characters of a wrong cell that an error repeats."""
TICK = 1_000
"""Lines between two reports of progress."""

_YES = frozenset({"true", "yes", "1"})
_NO = frozenset({"false", "no", "0"})
_GUARDED = ("=", "+", "-", "@", "\t", "\r", "\n", "'")

Key = tuple[str, str]
"""What a route is known by: its prefix, and its account's code ('' for all accounts)."""
Tick = Callable[[int], None]
"""Told how many more lines or routes are done."""


class FileRefused(CallError):
    """A file that is no list of routes at all, such as one with a wrong header."""


@dataclass(frozen=True, slots=True, order=True)
class TargetSpec:
    """One trunk of a route."""

    priority: int
    trunk: str
    weight: int
    strip_digits: int = 0
    add_prefix: str = ""


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route as a line of the file says it. ``targets`` are in order of priority and trunk."""

    prefix: str
    account: str
    action: str = Route.Action.ROUTE.value
    enabled: bool = True
    note: str = ""
    targets: tuple[TargetSpec, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    schedule: str = ""

    @property
    def key(self) -> Key:
        return self.prefix, self.account

    @property
    def name(self) -> str:
        """As people call it: ``49 of demo``, ``default of all``."""
        return f"{self.prefix or 'default'} of {self.account or 'all'}"


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with a line; the header is line 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Deck:
    """A file as it was read: its good routes by key, and its bad lines."""

    columns: tuple[str, ...]
    routes: Mapping[Key, RouteSpec]
    errors: tuple[LineError, ...]

    def completed(self, spec: RouteSpec, existing: RouteSpec) -> RouteSpec:
        """The route with those values of the existing one whose column the file leaves out."""
        left_out = [name for name in COLUMNS if name not in self.columns]
        return replace(spec, **{name: getattr(existing, name) for name in left_out})


@dataclass(frozen=True, slots=True)
class Diff:
    """What an import changes: routes added, changed (from, to) and removed, and how many stay."""

    added: tuple[RouteSpec, ...] = ()
    changed: tuple[tuple[RouteSpec, RouteSpec], ...] = ()
    removed: tuple[RouteSpec, ...] = ()
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        return (
            f"{len(self.added):,} added, {len(self.changed):,} changed, "
            f"{len(self.removed):,} removed, {self.unchanged:,} unchanged"
        )

    def lines(self, most: int) -> Iterator[str]:
        """The first *most* changes as text, with ``+``, ``~`` or ``-`` in front."""
        return (printable(line) for line in islice(self._lines(), most))

    def _lines(self) -> Iterator[str]:
        for spec in self.added:
            yield f"+ {spec.name}: {_described(spec)}"
        for old, new in self.changed:
            yield f"~ {new.name}: {_difference(old, new)}"
        for spec in self.removed:
            yield f"- {spec.name}: {_described(spec)}"

    def digest(self) -> str:
        """The same for the same changes only."""
        hashed = blake2b(digest_size=16)
        for line in self._lines():
            hashed.update(line.encode())
            hashed.update(b"\0")
        return hashed.hexdigest()


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
    text: str, accounts: Collection[str], trunks: Collection[str], tick: Tick = lambda lines: None
) -> Deck:
    """Read a file whose accounts and trunks must be among those given (by code, by name).

    Raises FileRefused where the header does not name the columns.
    """
    header, delimiter = _header(text)
    columns = _columns(header)
    reading = _Reading(columns, frozenset(accounts), frozenset(trunks))
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    next(records)
    reported = records.line_num
    while True:
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
    return Deck(columns, reading.routes, tuple(reading.errors))


def compare(
    deck: Deck, existing: Mapping[Key, RouteSpec], removed: Iterable[RouteSpec] = ()
) -> Diff:
    """What importing the deck changes. ``existing`` holds at least those routes that are in it;
    ``removed`` are those that the import takes away."""
    added, changed, unchanged = [], [], 0
    for key, spec in deck.routes.items():
        old = existing.get(key)
        if old is None:
            added.append(spec)
        elif (new := deck.completed(spec, old)) != old:
            changed.append((old, new))
        else:
            unchanged += 1
    return Diff(tuple(added), tuple(changed), tuple(removed), unchanged)


def to_lines(routes: Iterable[RouteSpec]) -> Iterator[str]:
    """The header and one line for each route, each with its line ending."""
    line = _Line()
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    yield line.text
    for spec in routes:
        texts = _texts(spec)
        writer.writerow(_guarded(texts[column]) for column in COLUMNS)
        yield line.text


class _Line:
    """A file that remembers the last line only."""

    text = ""

    def write(self, text: str) -> int:
        self.text = text
        return len(text)


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
        given = dict(zip(self._columns, map(_unguarded, cells), strict=False))
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
    names = [_unguarded(cell).strip().lower() for cell in header]
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
    return _clean(Route, "prefix", cell.strip())


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
    return _clean(Route, "note", cell)


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
    return _clean(Route, "schedule", cell.strip())


def _validity(spec: RouteSpec) -> list[str]:
    try:
        Route(valid_from=spec.valid_from, valid_until=spec.valid_until).clean()
    except ValidationError as error:
        return [f"{name}: {message[0].rstrip('.')}" for name, message in error.message_dict.items()]
    return []


@lru_cache(maxsize=10_000)
def _added(text: str) -> str:
    try:
        return _clean(RouteTarget, "add_prefix", text)
    except ValueError as error:
        raise ValueError(f"the prefix to add {text[:SHOWN_CELL]!r}: {error}") from error


@lru_cache(maxsize=10_000)
def _number(field: str, text: str) -> int:
    if not text:
        return _field(RouteTarget, field).get_default()
    label = {"strip_digits": "number of digits to strip"}.get(field, field)
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"the {label} {text[:SHOWN_CELL]!r} is no whole number")
    try:
        return _clean(RouteTarget, field, text)
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


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_GUARDED) else cell


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_GUARDED) else cell


def _split(text: str, separator: str) -> list[str]:
    """Part the text at the separator, but not where a backslash stands before it."""
    return re.findall(
        rf"(?:^|{re.escape(separator)})((?:\\.|[^\\{re.escape(separator)}])*\\?)", text, re.S
    )


def _escaped(name: str) -> str:
    return re.sub(r"([\\|:])", r"\\\1", name)


def _unescaped(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name, flags=re.S)


def _texts(spec: RouteSpec) -> dict[str, str]:
    return {
        "prefix": spec.prefix,
        "account": spec.account,
        "action": spec.action,
        "enabled": "true" if spec.enabled else "false",
        "note": spec.note,
        "targets": _targets_text(spec),
        "valid_from": _time_text(spec.valid_from),
        "valid_until": _time_text(spec.valid_until),
        "schedule": spec.schedule,
    }


def _time_text(time: datetime | None) -> str:
    return "" if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _targets_text(spec: RouteSpec) -> str:
    return "|".join(map(_target_text, spec.targets))


def _target_text(target: TargetSpec) -> str:
    text = f"{_escaped(target.trunk)}:{target.priority}:{target.weight}"
    if target.strip_digits or target.add_prefix:
        text += f":{target.strip_digits}:{target.add_prefix}"
    return text


def _described(spec: RouteSpec) -> str:
    parts = [spec.action if spec.action == Route.Action.BLOCK else _targets_text(spec)]
    parts += [] if spec.enabled else ["disabled"]
    parts += [f"from {_time_text(spec.valid_from)}"] if spec.valid_from else []
    parts += [f"until {_time_text(spec.valid_until)}"] if spec.valid_until else []
    parts += [f"schedule {spec.schedule}"] if spec.schedule else []
    parts += [f"note {spec.note!r}"] if spec.note else []
    return ", ".join(parts)


def _difference(old: RouteSpec, new: RouteSpec) -> str:
    before, after = _texts(old), _texts(new)
    return ", ".join(
        f"{column} {before[column] or 'none'} → {after[column] or 'none'}"
        for column in COLUMNS
        if before[column] != after[column]
    )
