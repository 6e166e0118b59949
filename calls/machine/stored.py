"""What outlives a worker, in Redis, is read by workers of other versions too. Pure.

While a new version is brought in, old and new workers attend to the same calls side by side. So
what is stored keeps to four rules:

  * an event or a command is ``[tag, field, ...]``. A field is added at the end only, with a
    default: a reader fills in what is missing and passes over what it does not know
  * a form that an older reader would misunderstand gets its number at the tag, ``left@2``; without
    one it is the first. An older reader knows that it does not know it
  * a session is an object. A field is added with a default; what a reader does not know it keeps
    under ``unknown`` and writes back, so that nothing is lost on the way through an older worker
  * a session that an older reader would misunderstand has a higher `SESSION_VERSION`, and an older
    worker leaves its call to the others

tests/machine/stored/ keeps a sample of every form there has been.
"""

import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from itertools import product
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, NamedTuple

from msgspec import Struct, structs

from calls.errors import FromNewerVersion, Unreadable

SESSION_VERSION = 1
"""Stands in a session as ``v``."""
ORDERED_VERSION = 2
"""Stands there of a call that was ordered: one who knows no such calls would route it as if its
caller had dialled."""
VERSIONS = (SESSION_VERSION, ORDERED_VERSION)
"""Those that are read here."""


class Form(NamedTuple):
    """How the instances of one class lie in Redis."""

    make: Any
    types: tuple[tuple[type, ...], ...]
    """For each field the JSON types that it may have."""
    usual: frozenset[tuple[type, ...]]
    """The types of all fields together, in every way that is right."""
    needed: int
    """How many fields have no default."""


def forms(*kinds: type[Any]) -> dict[str, Form]:
    """The forms of these dataclasses by their tags."""
    return {kind.tag: _form(kind) for kind in kinds}


def plain(instance: Any) -> list[Any]:
    """The tag and the fields, in order, of an instance of a dataclass with slots."""
    kind: Any = type(instance)
    return list(_values_of(kind)(instance))


@cache
def _values_of(kind: Any) -> Callable[[Any], tuple[Any, ...]]:
    names: tuple[str, ...] = kind.__slots__
    return attrgetter("tag", *names) if names else lambda instance: (instance.tag,)


def read(known: Mapping[str, Form], plain: object) -> Any:
    """The instance that ``[tag, field, ...]`` describes.

    Raises FromNewerVersion for a tag that we do not know, and Unreadable for whatever else cannot
    be understood; both with the words that follow "which is" in a sentence.
    """
    if type(plain) is not list or not plain or type(plain[0]) is not str:
        raise Unreadable("no array that begins with a tag")
    tag, *values = plain
    form = known.get(tag)
    if form is None:
        raise FromNewerVersion(f"of a form that this version of Ringmaster does not know: {tag}")
    if tuple(map(type, values)) not in form.usual:
        values = _fitting(form, tag, values)
    return form.make(*values)


def _fitting(form: Form, tag: str, values: list[Any]) -> list[Any]:
    """The values that the form has a place for, lists as tuples."""
    if len(values) < form.needed:
        raise Unreadable(f"of too few fields for {tag}")
    values = values[: len(form.types)]
    for value, types in zip(values, form.types, strict=False):
        if type(value) not in types:
            raise Unreadable(f"of wrong types for {tag}")
    return [tuple(each) if type(each) is list else each for each in values]


def known_fields(kind: type[Any], plain: dict[str, Any]) -> dict[str, Any]:
    """The fields of *plain* that the dataclass has; those it has not go into ``unknown``."""
    names = _names(kind)
    if plain.keys() <= names and not plain.get("unknown"):
        return plain
    # What an older worker kept for us is ours to read.
    plain = plain | (plain.get("unknown") or {})
    kept = {name: value for name, value in plain.items() if name in names and name != "unknown"}
    unknown = {name: value for name, value in plain.items() if name not in names}
    if unknown and "unknown" in names:
        kept["unknown"] = unknown
    return kept


def _names(kind: type[Any]) -> frozenset[str]:
    names = _known_names.get(kind)
    if names is None:
        known = structs.fields(kind) if issubclass(kind, Struct) else fields(kind)
        names = _known_names[kind] = frozenset(field.name for field in known)
    return names


_known_names: dict[type[Any], frozenset[str]] = {}


def _form(kind: type[Any]) -> Form:
    hints = typing.get_type_hints(kind)
    types = tuple(_json_types(hints[field.name]) for field in fields(kind))
    # A list is to become a tuple, so it is never usual.
    usual = frozenset(each for each in product(*types) if list not in each)
    return Form(kind, types, usual, sum(field.default is MISSING for field in fields(kind)))


def _json_types(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, UnionType):
        return tuple(each for part in typing.get_args(hint) for each in _json_types(part))
    if typing.get_origin(hint) is tuple:
        return (list,)
    if hint not in (str, int, bool, NoneType):
        raise TypeError(f"{hint} has no form in JSON")
    return (hint,)
