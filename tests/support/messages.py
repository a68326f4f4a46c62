"""Messages made from their classes: one fixed example each, and any at all."""

from __future__ import annotations

import types
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

_EXAMPLES: dict[type, Any] = {int: 1_700_000_000_000_001, bool: True, float: 0.5}
# Avro's long; its strings are UTF-8, so half a surrogate pair is none.
_ANY: dict[type, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    str: st.text(st.characters(exclude_categories=["Cs"])),
    bytes: st.binary(),
}


def example(cls: type[Any]) -> Any:
    """Return the fixed example of a class: every field is set, and tells its name."""
    hints = get_type_hints(cls)
    return cls(**{name: _value(name, hints[name]) for name in cls.__struct_fields__})


def bare(cls: type[Any]) -> Any:
    """Return an example in which whatever has a default is left out."""
    hints = get_type_hints(cls)
    return cls(
        **{
            field.name: _value(field.name, hints[field.name])
            for field in msgspec.structs.fields(cls)
            if field.required
        }
    )


@cache
def messages_of(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for any message of a class."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{n: _any(hints[n]) for n in cls.__struct_fields__})


def _value(name: str, hint: Any) -> Any:
    if hint is str:
        return f"{name} \u00fc"
    if hint is bytes:
        return b"\x00\xff" + name.encode()
    if hint in _EXAMPLES:
        return _EXAMPLES[hint]
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return (_value(name, item), _value(f"{name}-2", item))
    if get_origin(hint) in {Union, types.UnionType}:
        return _value(name, next(h for h in get_args(hint) if h is not type(None)))
    return example(hint)


def _any(hint: Any) -> st.SearchStrategy[Any]:
    if hint in _ANY:
        return _ANY[hint]
    if get_origin(hint) is tuple:
        return st.lists(_any(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) in {Union, types.UnionType}:
        return st.one_of(
            *(st.none() if h is type(None) else _any(h) for h in get_args(hint))
        )
    return messages_of(hint)
