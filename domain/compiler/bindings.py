"""Checks that every input is bound once, to something that fits (ref §3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from flyteidl.core import types_pb2

from domain.compiler.errors import Code, Findings
from domain.compiler.interfaces import Interface
from domain.compiler.paths import NoSuchField, type_at
from domain.literals.casting import castable
from domain.literals.literal_types import allows_none, describe, scalar_type

Sources = Mapping[str, Mapping[str, Any] | None]
"""Output types by node id; None for a node whose outputs aren't known."""

_VARIABLE = re.compile(r"(?:\[(?P<index>\d+)\]\.)?(?P<name>[^\[\]]+)")


class Violation(NamedTuple):
    """Why a binding doesn't fit its parameter."""

    code: Code
    text: str


def check_bindings(
    node_id: str,
    bindings: Sequence[Any],
    interface: Interface,
    sources: Sources,
    found: Findings,
) -> None:
    """Check a node's bindings against its interface."""
    bound = {binding.var for binding in bindings}
    for binding in _once_each(node_id, bindings, found):
        asked = interface.inputs.get(binding.var)
        if asked is None:
            text = f"Expected no input '{binding.var}', but it is bound"
            found.add(Code.VARIABLE_NAME_NOT_FOUND, node_id, text)
            continue
        for violation in _violations(binding.binding, asked, sources):
            text = f"input '{binding.var}': {violation.text}"
            found.add(violation.code, node_id, text)
    for name, asked in interface.inputs.items():
        if name in bound or name in interface.optional or allows_none(asked):
            continue
        text = f"Expected input '{name}' to be bound, but it is not"
        found.add(Code.PARAMETER_NOT_BOUND, node_id, text)


def bound_types(
    node_id: str, bindings: Iterable[Any], sources: Sources, found: Findings
) -> dict[str, Any | None]:
    """Return the type of each binding of a node that declares none of its own."""
    types: dict[str, Any | None] = {}
    for binding in _once_each(node_id, bindings, found):
        given = _given(binding.binding, sources)
        if isinstance(given, Violation):
            found.add(given.code, node_id, f"input '{binding.var}': {given.text}")
            given = None
        types[binding.var] = given
    return types


def _once_each(node_id: str, bindings: Iterable[Any], found: Findings) -> Iterator[Any]:
    seen: set[str] = set()
    for binding in bindings:
        if binding.var in seen:
            text = f"Expected input '{binding.var}' to be bound once, but it is twice"
            found.add(Code.PARAMETER_BOUND_MORE_THAN_ONCE, node_id, text)
        elif not binding.HasField("binding"):
            text = f"Expected input '{binding.var}' to have a value, but it has none"
            found.add(Code.VALUE_REQUIRED, node_id, text)
        else:
            yield binding
        seen.add(binding.var)


def _violations(data: Any, asked: Any, sources: Sources) -> Iterator[Violation]:
    kind, wanted = data.WhichOneof("value"), asked.WhichOneof("type")
    if kind == "promise":
        yield from _promise_violations(data.promise, asked, sources)
    elif kind == "scalar":
        yield from _scalar_violations(data.scalar, asked)
    elif wanted == "union_type":
        yield from _union_violations(data, asked, sources)
    elif kind == "collection" and wanted == "collection_type":
        for item in data.collection.bindings:
            yield from _violations(item, asked.collection_type, sources)
    elif kind == "map" and wanted == "map_value_type":
        for item in data.map.bindings.values():
            yield from _violations(item, asked.map_value_type, sources)
    else:
        text = f"Expected a {describe(asked)}, but it is bound to a {kind or 'nothing'}"
        yield Violation(Code.MISMATCHING_BINDINGS, text)


def _promise_violations(
    promise: Any, asked: Any, sources: Sources
) -> Iterator[Violation]:
    given = promised_type(promise, sources)
    if isinstance(given, Violation):
        yield given
    elif given is not None and not castable(given, asked):
        whence = f"'{promise.var}' of node '{promise.node_id}'"
        text = f"Expected a {describe(asked)}, but {whence} is a {describe(given)}"
        yield Violation(Code.MISMATCHING_TYPES, text)


def _scalar_violations(scalar: Any, asked: Any) -> Iterator[Violation]:
    given = scalar_type(scalar)
    if given is None:
        text = f"Expected a {describe(asked)}, but it is bound to no known value"
        yield Violation(Code.UNRECOGNIZED_VALUE, text)
        return
    if not castable(given, asked):
        text = f"Expected a {describe(asked)}, but it is bound to a {describe(given)}"
        yield Violation(Code.MISMATCHING_TYPES, text)
    elif asked.WhichOneof("type") == "enum_type":
        value = scalar.primitive.string_value
        if value not in asked.enum_type.values:
            text = f"Expected {describe(asked)}, but it is bound to '{value}'"
            yield Violation(Code.ILLEGAL_ENUM_VALUE, text)


def _union_violations(data: Any, asked: Any, sources: Sources) -> Iterator[Violation]:
    """Find exactly one variant that a list or map of bindings fits."""
    fitting = [
        variant
        for variant in asked.union_type.variants
        if next(_violations(data, variant, sources), None) is None
    ]
    if not fitting:
        text = f"Expected a {describe(asked)}, but no variant fits"
        yield Violation(Code.INCOMPATIBLE_BINDING_UNION_VALUE, text)
    elif len(fitting) > 1:
        both = " and ".join(describe(variant) for variant in fitting)
        text = f"Expected one fitting variant of {describe(asked)}, but {both} fit"
        yield Violation(Code.AMBIGUOUS_BINDING_UNION_VALUE, text)


def _given(data: Any, sources: Sources) -> Any | Violation | None:
    kind = data.WhichOneof("value")
    if kind == "promise":
        return promised_type(data.promise, sources)
    if kind == "scalar":
        return scalar_type(data.scalar)
    items = (
        data.collection.bindings if kind == "collection" else data.map.bindings.values()
    )
    return _given_items(kind, [_given(item, sources) for item in items])


def _given_items(kind: str | None, given: Sequence[Any]) -> Any | Violation | None:
    """Return the type of a list or map of bindings, if its items agree on theirs."""
    for item in given:
        if item is None or isinstance(item, Violation):
            return item
    if not given or any(item != given[0] for item in given[1:]):
        return None
    if kind == "collection":
        return types_pb2.LiteralType(collection_type=given[0])
    return types_pb2.LiteralType(map_value_type=given[0])


def promised_type(promise: Any, sources: Sources) -> Any | Violation | None:
    """Return the type of what a promise names, None where it can't be known.

    The node must exist: that is checked where edges are made.
    """
    outputs = sources.get(promise.node_id)
    if outputs is None:
        return None
    parsed = _VARIABLE.fullmatch(promise.var)
    if parsed is None:
        text = f"Expected the name of an output, but got '{promise.var}'"
        return Violation(Code.SYNTAX_ERROR, text)
    if parsed["name"] not in outputs:
        node_id = promise.node_id
        text = f"Expected node '{node_id}' to give '{promise.var}', but it doesn't"
        return Violation(Code.VARIABLE_NAME_NOT_FOUND, text)
    given = outputs[parsed["name"]]
    if given is None:
        return None
    return _inside(given, promise.attr_path, is_indexed=parsed["index"] is not None)


def _inside(
    given: Any, path: Sequence[Any], *, is_indexed: bool
) -> Any | Violation | None:
    if is_indexed:
        if given.WhichOneof("type") != "collection_type":
            text = f"Expected a list to take an item of, but got a {describe(given)}"
            return Violation(Code.MISMATCHING_TYPES, text)
        given = given.collection_type
    inner = type_at(given, path)
    if isinstance(inner, NoSuchField):
        return Violation(Code.FIELD_NOT_FOUND, inner.text)
    return inner
