"""Casting: which types and values may be used as which types (ref §3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flyteidl.core import literals_pb2, types_pb2

from domain.literals.columns import TABLES, castable_tables
from domain.literals.json_schemas import is_compatible
from domain.literals.literal_types import is_none, is_simple, literal_type


def castable(
    upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType
) -> bool:
    """Return whether a value of one type may be used as another."""
    if upstream.WhichOneof("type") == "union_type":
        variants = upstream.union_type.variants
        if len(variants) == 1 and _casts(variants[0], downstream):
            return True
    return _casts(upstream, downstream)


def _casts(upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType) -> bool:
    given, expected = upstream.WhichOneof("type"), downstream.WhichOneof("type")
    if expected == "union_type":
        return _casts_to_union(upstream, downstream.union_type.variants)
    if expected == "structured_dataset_type" and is_none(upstream):
        return True
    if expected in TABLES:
        return given in TABLES and castable_tables(upstream, downstream, castable)
    if "enum_type" in {given, expected}:
        return _casts_enum(upstream, downstream)
    return given == expected and _casts_same_kind(upstream, downstream, expected)


def _casts_same_kind(
    upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType, kind: str | None
) -> bool:
    if kind == "collection_type":
        return _item_casts(upstream.collection_type, downstream.collection_type)
    if kind == "map_value_type":
        return _item_casts(upstream.map_value_type, downstream.map_value_type)
    if kind == "blob":
        formats = {upstream.blob.format, downstream.blob.format}
        return len(formats) == 1 or "" in formats
    return kind is None or _casts_simple(upstream, downstream)


def _casts_to_union(
    upstream: types_pb2.LiteralType, variants: Sequence[types_pb2.LiteralType]
) -> bool:
    if upstream.WhichOneof("type") == "union_type":
        given = upstream.union_type.variants
        return all(any(castable(u, v) for v in variants) for u in given)
    return sum(castable(upstream, variant) for variant in variants) == 1


def _item_casts(
    upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType
) -> bool:
    # The items of an empty list or map have the type NONE, which casts to any.
    return is_none(upstream) or castable(upstream, downstream)


def _casts_enum(
    upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType
) -> bool:
    """Return whether both are enums of the same values, or one of them is a string."""
    if any(is_simple(side, types_pb2.STRING) for side in (upstream, downstream)):
        return True
    if upstream.WhichOneof("type") != downstream.WhichOneof("type"):
        return False
    same = upstream.enum_type.values == downstream.enum_type.values
    return same and _tags_agree(upstream, downstream)


def _casts_simple(
    upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType
) -> bool:
    if upstream.simple != downstream.simple:
        return False
    if upstream.simple == types_pb2.NONE:
        return True
    if not _tags_agree(upstream, downstream):
        return False
    if upstream.simple != types_pb2.STRUCT:
        return True
    if not upstream.HasField("metadata") or not downstream.HasField("metadata"):
        return True
    return is_compatible(upstream.metadata, downstream.metadata)


def _tags_agree(
    upstream: types_pb2.LiteralType, downstream: types_pb2.LiteralType
) -> bool:
    tag = upstream.structure.tag
    return not tag or tag == downstream.structure.tag


def literal_matches(
    literal: literals_pb2.Literal, expected: types_pb2.LiteralType
) -> bool:
    """Return whether a literal may be given where a type is expected.

    Its type must be castable; for an enum, it must be one of the values.
    """
    if literal.HasField("scalar") and literal.scalar.WhichOneof("value") == "union":
        return _union_matches(literal.scalar.union, expected)
    kind, value = expected.WhichOneof("type"), literal.WhichOneof("value")
    if kind == "union_type":
        variants = expected.union_type.variants
        return sum(literal_matches(literal, variant) for variant in variants) == 1
    if kind == "enum_type" and value == "scalar":
        primitive = literal.scalar.primitive
        is_text = primitive.WhichOneof("value") == "string_value"
        return is_text and primitive.string_value in expected.enum_type.values
    if kind == "collection_type" and value == "collection":
        items = literal.collection.literals
        return all(literal_matches(item, expected.collection_type) for item in items)
    if kind == "map_value_type" and value == "map":
        values = literal.map.literals.values()
        return all(literal_matches(item, expected.map_value_type) for item in values)
    given = literal_type(literal)
    return given is not None and castable(given, expected)


def _union_matches(union: literals_pb2.Union, expected: types_pb2.LiteralType) -> bool:
    """Return whether a value, which says its variant, fits that of the expected."""
    wanted: Iterable[types_pb2.LiteralType] = [expected]
    if expected.WhichOneof("type") == "union_type":
        wanted = expected.union_type.variants
    if union.type.WhichOneof("type") is not None:
        wanted = [variant for variant in wanted if castable(union.type, variant)]
    return any(literal_matches(union.value, variant) for variant in wanted)
