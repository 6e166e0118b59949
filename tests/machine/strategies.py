"""Hypothesis strategies for our frozen values, made from the types of their fields."""

import types
import typing
from dataclasses import fields
from enum import Enum
from typing import Any

from hypothesis import strategies as st
from msgspec import Struct, structs

WHOLE = st.integers(0, 2**53)


def value_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and inner[-1] is not ...:
        return st.tuples(*(value_of(each) for each in inner))
    if origin is dict:
        # What a newer version added.
        return st.dictionaries(
            st.text(min_size=1, max_size=9).map("new_{}".format), WHOLE, min_size=1
        )
    if origin is tuple:
        return st.lists(value_of(inner[0]), max_size=3).map(tuple)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(value_of(each) for each in inner))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    plain = {int: WHOLE, str: st.text(max_size=40), bool: st.booleans(), type(None): st.none()}
    return plain[kind] if kind in plain else instance_of(kind)


def instance_of(kind: type) -> st.SearchStrategy[Any]:
    """Instances of a dataclass or a struct."""
    hints = typing.get_type_hints(kind)
    known = structs.fields(kind) if issubclass(kind, Struct) else fields(kind)
    return st.builds(kind, **{field.name: value_of(hints[field.name]) for field in known})
