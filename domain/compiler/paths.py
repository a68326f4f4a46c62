"""Attribute paths: the type of what lies inside a promised value (ref §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flyteidl.core import types_pb2

from domain.literals.json_schemas import field_names
from domain.literals.literal_types import describe, is_none


@dataclass(frozen=True, slots=True)
class NoSuchField:
    """A path leads nowhere; the text says where it ends."""

    text: str


def type_at(given: Any, path: Sequence[Any]) -> Any | NoSuchField | None:
    """Return the type at the end of a path, None where types don't say.

    `path` holds core.PromiseAttributes: keys of maps and fields, indices of lists.
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


def _in_variants(given: Any, path: Sequence[Any]) -> Any | NoSuchField | None:
    """Take whatever of the variants has the path: None has nothing in it."""
    found: dict[bytes, Any] = {}
    for variant in given.union_type.variants:
        if is_none(variant):
            continue
        inner = type_at(variant, path)
        if inner is None:
            return None
        if not isinstance(inner, NoSuchField):
            found[inner.SerializeToString(deterministic=True)] = inner
    if not found:
        return _no_field(path[0], given)
    if len(found) == 1:
        return next(iter(found.values()))
    variants = types_pb2.UnionType(variants=found.values())
    return types_pb2.LiteralType(union_type=variants)


def _in_schema(given: Any, path: Sequence[Any]) -> NoSuchField | None:
    """Walk the JSON schema that older clients give: it names fields, not types."""
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


def _no_field(attribute: Any, given: Any) -> NoSuchField:
    key = getattr(attribute, attribute.WhichOneof("value") or "string_value")
    return NoSuchField(f"Expected a field {key!r}, but a {describe(given)} has none")
