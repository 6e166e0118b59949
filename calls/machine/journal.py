"""The journal of a call: what it heard and what came of what it did, in the order decided.

`decide` is pure and the outcomes of commands are events, so this list of events is the call:
decided again in this order it gives the same session, the same commands and the same record.
Nothing else is written down; story, debugger and replay (calls/story) derive from it.

It grows in the scripts that run anyway. Each save carries one page: what was decided since the
save before. So at any moment the pages in Redis lead to the session that lies beside them, and
what a dying worker had not saved stands on no page; the next turn decides it again.

A page is one line of JSON, ``[format, turn, began_ms, [entry, ...]]``. An entry is
``[tag, asked_ms, field, ...]`` with the fields of calls/machine/events.py in order; ``asked_ms`` is
when a command was sent off, 0 for what nobody asked for. A reader takes what it knows: missing
fields are as if they had never been there, surplus ones are left out, and an entry that cannot be
read stays in its place as `Unread`.
"""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any, get_type_hints

import orjson

from calls.errors import Unreadable
from calls.limits.rules import Rule, Skip
from calls.machine import commands, stored
from calls.machine.events import (
    CallEntered,
    CallFound,
    CallOrdered,
    CallRefused,
    ChannelAnswered,
    ChannelDestroyed,
    ChannelDialled,
    ChannelLeft,
    ChannelProgressed,
    ChannelRinging,
    CommandDone,
    CommandFailed,
    Doubted,
    Event,
    Extended,
    HangupAsked,
    HangupRequested,
    LimitRefused,
    Listed,
    Reserved,
    RouteChosen,
)
from calls.routing.choice import Plan, Refusal
from calls.routing.steps import Mark, Step, Topic
from calls.routing.targets import Target

FORMAT = 1
"""Of a page. Raised when what a reader of today makes of it would be wrong, not for a new field."""
MOST_PAGES = 500
"""Pages that are kept of one call. A usual one has five; only something that goes wrong for hours
has more, and its further pages are dropped rather than fill Redis."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a call; ``asked_ms`` is when what it is the outcome of was sent off, or 0."""

    event: Event
    asked_ms: int = 0


@dataclass(frozen=True, slots=True)
class Unread:
    """An entry, or a whole page, that this version cannot read; ``text`` is how it stood there."""

    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one save wrote. ``turn`` tells one worker's turn from another's, ``began_ms`` is when
    it took the call's lock (ms since the epoch, the worker's clock)."""

    turn: str
    began_ms: int
    entries: tuple[Entry | Unread, ...]


class Notebook:
    """Notes what one turn decides, and hands it over page by page."""

    def __init__(self, turn: str, began_ms: int) -> None:
        self._turn = turn
        self._began_ms = began_ms
        self._entries: list[tuple[Event, int]] = []

    def note(self, event: Event, asked_ms: int = 0) -> None:
        """The event is about to be decided."""
        self._entries.append((event, asked_ms))

    def page(self) -> bytes:
        """What was noted since the last page; empty when that is nothing."""
        if not self._entries:
            return b""
        noted, self._entries = self._entries, []
        return encode_page(self._turn, self._began_ms, noted)


def encode_page(turn: str, began_ms: int, noted: Iterable[tuple[Event, int]]) -> bytes:
    """The page as it is kept: one line of JSON without its line feed."""
    entries = [_plain(event, asked_ms) for event, asked_ms in noted]
    return orjson.dumps([FORMAT, turn, began_ms, entries])


def read(journal: bytes) -> tuple[Page, ...]:
    """The pages of a journal, whose lines they are. Never raises for what stands in it."""
    return tuple(_page(line) for line in journal.split(b"\n") if line)


def _plain(event: Event, asked_ms: int) -> list[Any]:
    # orjson writes the dataclasses inside an outcome (targets, rules) as objects by itself.
    plain = stored.plain(event)
    plain.insert(1, asked_ms)
    for place, convert in _CONVERTED[type(event)]:
        plain[place] = convert(plain[place])
    return plain


def _way_to_plain(way: Plan | Refusal) -> dict[str, Any]:
    plain = {name: getattr(way, name) for name in way.__slots__}
    # That a prefix has no route is told by the prefix that has one, and would be half the journal.
    plain["steps"] = [
        (step.topic, step.subject, step.mark, step.detail)
        for step in way.steps
        if step.topic is not Topic.PREFIX or step.detail != "no route"
    ]
    return plain


_TO_PLAIN: dict[str, Callable[[Any], Any]] = {
    "command": commands.to_plain,
    "plan": _way_to_plain,
    "refusal": _way_to_plain,
}
"""How what stands in these fields is written, where orjson would not do it so."""


def _page(line: bytes) -> Page:
    try:
        _, turn, began_ms, entries, *_ = orjson.loads(line)
        return Page(str(turn), int(began_ms), tuple(_entry(plain) for plain in entries))
    except (ValueError, TypeError):
        return Page("", 0, (Unread(line.decode(errors="replace")),))


def _entry(plain: Any) -> Entry | Unread:
    try:
        tag, asked_ms, *values = plain
        kind = _KINDS[tag]
        named = dict(zip(_FIELDS[kind], values, strict=False))
        for name, convert in _CONVERTERS.get(kind, {}).items():
            if named.get(name) is not None:
                named[name] = convert(named[name])
        return Entry(kind(**named), int(asked_ms))
    except (ValueError, TypeError, LookupError, Unreadable):
        return Unread(orjson.dumps(plain).decode())


# --- What stands inside an event ------------------------------------------------------------------


def _known(kind: type, plain: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that *kind* has a field for. Raises KeyError where one is missing."""
    named = {}
    words = _words_of(kind)
    for field in fields(kind):
        if field.name in plain:
            value = plain[field.name]
            named[field.name] = words[field.name](value) if field.name in words else value
        elif field.default is MISSING and field.default_factory is MISSING:
            raise KeyError(field.name)
    return named


@cache
def _words_of(kind: type) -> dict[str, type[StrEnum]]:
    """The fields of *kind* that hold a word of a list."""
    return {
        name: hint
        for name, hint in get_type_hints(kind).items()
        if isinstance(hint, type) and issubclass(hint, StrEnum)
    }


def _step(plain: list[str]) -> Step:
    topic, subject, mark, detail, *_ = plain
    return Step(Topic(topic), subject, Mark(mark), detail)


def _way(kind: type, plain: dict[str, Any]) -> dict[str, Any]:
    """The fields of a plan or a refusal, both of which hold targets and steps."""
    named = _known(kind, plain)
    named["targets"] = tuple(Target(**_known(Target, each)) for each in plain["targets"])
    named["steps"] = tuple(_step(each) for each in plain.get("steps", ()))
    return named


def _plan(plain: dict[str, Any]) -> Plan:
    return Plan(**_way(Plan, plain) | {"also": tuple(plain.get("also", ()))})


def _refusal(plain: dict[str, Any]) -> Refusal:
    return Refusal(**_way(Refusal, plain))


def _rules(plain: list[dict[str, Any]]) -> tuple[Rule, ...]:
    return tuple(Rule(**_known(Rule, each)) for each in plain)


def _skips(plain: list[dict[str, Any]]) -> tuple[Skip, ...]:
    return tuple(Skip(**_known(Skip, each)) for each in plain)


_KINDS: dict[str, Callable[..., Event]] = {
    kind.tag: kind
    for kind in (
        CallEntered,
        CallOrdered,
        CallFound,
        ChannelDialled,
        ChannelProgressed,
        ChannelRinging,
        ChannelAnswered,
        HangupRequested,
        ChannelLeft,
        ChannelDestroyed,
        HangupAsked,
        Doubted,
        Listed,
        RouteChosen,
        CallRefused,
        Reserved,
        Extended,
        LimitRefused,
        CommandDone,
        CommandFailed,
    )
}
_FIELDS: dict[Any, tuple[str, ...]] = {
    kind: tuple(field.name for field in fields(kind))  # type: ignore[arg-type]
    for kind in _KINDS.values()
}
_CONVERTED: dict[Any, tuple[tuple[int, Callable[[Any], Any]], ...]] = {
    kind: tuple(
        (place, _TO_PLAIN[name]) for place, name in enumerate(names, 2) if name in _TO_PLAIN
    )
    for kind, names in _FIELDS.items()
}
"""Where in an entry of a kind stands what is not written as it is."""
_CONVERTERS: dict[Any, dict[str, Callable[[Any], Any]]] = {
    RouteChosen: {"plan": _plan, "rules": _rules},
    CallRefused: {"refusal": _refusal},
    Reserved: {"skipped": _skips},
    CommandDone: {"command": commands.from_plain},
    CommandFailed: {"command": commands.from_plain},
}
