"""Promises: the type of an output, or of a part of it (ref §3.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flyteidl.core import types_pb2

from domain.compiler.errors import Code, Violation
from domain.compiler.interfaces import OutputTypes
from domain.literals.attribute_paths import attribute_key
from domain.literals.json_schemas import field_names
from domain.literals.literal_types import describe, is_none

Sources = Mapping[str, OutputTypes | None]
"""Output types by node id; None for a node whose outputs aren't known."""

_VARIABLE = re.compile(r"(?:\[(?P<index>\d+)\]\.)?(?P<name>[^\[\]]+)")


def promised_type(
    promise: types_pb2.OutputReference, sources: Sources
) -> types_pb2.LiteralType | Violation | None:
    """Return the type of the value of a promise, None where it can't be known.

    That its node exists is checked where edges are made.
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
    return _type_inside(
        given, promise.attr_path, is_indexed=parsed["index"] is not None
    )


def _type_inside(
    given: types_pb2.LiteralType,
    path: Sequence[types_pb2.PromiseAttribute],
    *,
    is_indexed: bool,
) -> types_pb2.LiteralType | Violation | None:
    if is_indexed:
        if given.WhichOneof("type") != "collection_type":
            text = f"Expected a list to take an item of, but got a {describe(given)}"
            return Violation(Code.MISMATCHING_TYPES, text)
        given = given.collection_type
    return _type_at(given, path)


def _type_at(
    given: types_pb2.LiteralType, path: Sequence[types_pb2.PromiseAttribute]
) -> types_pb2.LiteralType | Violation | None:
    """Return the type at the end of a path, None where it isn't declared.

    A path is made of keys of maps, fields of dataclasses and indices of lists.
    """
    for number, attribute in enumerate(path):
        kind = given.WhichOneof("type")
        if kind == "collection_type":
            given = given.collection_type
        elif kind == "map_value_type":
            given = given.map_value_type
        elif kind == "union_type":
            return _in_variants(given, path[number:])
        elif kind != "simple" or given.simple != types_pb2.STRUCT:
            return _no_field(attribute, given)
        elif not given.structure.dataclass_type:
            return _in_schema(given, path[number:])
        elif attribute.string_value not in given.structure.dataclass_type:
            return _no_field(attribute, given)
        else:
            given = given.structure.dataclass_type[attribute.string_value]
    return given


def _in_variants(
    given: types_pb2.LiteralType, path: Sequence[types_pb2.PromiseAttribute]
) -> types_pb2.LiteralType | Violation | None:
    """Return the type in those variants that have the path; NONE has no attributes."""
    found: dict[bytes, types_pb2.LiteralType] = {}
    for variant in given.union_type.variants:
        if is_none(variant):
            continue
        inner = _type_at(variant, path)
        if inner is None:
            return None
        if not isinstance(inner, Violation):
            found[inner.SerializeToString(deterministic=True)] = inner
    if not found:
        return _no_field(path[0], given)
    if len(found) == 1:
        return next(iter(found.values()))
    variants = types_pb2.UnionType(variants=found.values())
    return types_pb2.LiteralType(union_type=variants)


def _in_schema(
    given: types_pb2.LiteralType, path: Sequence[types_pb2.PromiseAttribute]
) -> Violation | None:
    """Follow the path in the JSON schema of older clients: it has names, not types."""
    if not given.HasField("metadata"):
        return None
    names: list[str] = []
    for attribute in path:
        if attribute.WhichOneof("value") != "string_value":
            return None
        declared = field_names(given.metadata, names)
        if declared is None:
            return None
        if attribute.string_value not in declared:
            return _no_field(attribute, given)
        names.append(attribute.string_value)
    return None


def _no_field(
    attribute: types_pb2.PromiseAttribute, given: types_pb2.LiteralType
) -> Violation:
    text = f"Expected a field {attribute_key(attribute)!r}, but a {describe(given)}"
    return Violation(Code.FIELD_NOT_FOUND, f"{text} has none")
