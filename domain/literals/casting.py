"""Type rules: what casts to what, and what a literal's type is (ref §3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flyteidl.core import literals_pb2, types_pb2

from domain.literals.columns import TABLES, castable_tables
from domain.literals.json_schemas import is_compatible

NONE = types_pb2.LiteralType(simple=types_pb2.NONE)
STRUCT = types_pb2.LiteralType(simple=types_pb2.STRUCT)
BINARY = types_pb2.LiteralType(simple=types_pb2.BINARY)
MSGPACK = "msgpack"
_PLAIN = {
    "generic": STRUCT,
    "none_type": NONE,
    "error": types_pb2.LiteralType(simple=types_pb2.ERROR),
}
_PRIMITIVES = {
    kind: types_pb2.LiteralType(simple=simple)
    for kind, simple in (
        ("integer", types_pb2.INTEGER),
        ("float_value", types_pb2.FLOAT),
        ("string_value", types_pb2.STRING),
        ("boolean", types_pb2.BOOLEAN),
        ("datetime", types_pb2.DATETIME),
        ("duration", types_pb2.DURATION),
    )
}


def castable(upstream: Any, downstream: Any) -> bool:
    """Tell whether a value of one core.LiteralType may be used as another."""
    if upstream.WhichOneof("type") == "union_type":
        variants = upstream.union_type.variants
        if len(variants) == 1 and _casts(variants[0], downstream):
            return True
    return _casts(upstream, downstream)


def _casts(upstream: Any, downstream: Any) -> bool:
    given, asked = upstream.WhichOneof("type"), downstream.WhichOneof("type")
    if asked == "union_type":
        return _casts_to_union(upstream, downstream.union_type.variants)
    if asked == "structured_dataset_type" and is_none(upstream):
        return True
    if asked in TABLES:
        return given in TABLES and castable_tables(upstream, downstream, castable)
    if "enum_type" in {given, asked}:
        return _casts_enum(upstream, downstream)
    return given == asked and _casts_within(upstream, downstream, asked)


def _casts_within(upstream: Any, downstream: Any, kind: str | None) -> bool:
    """Compare two types of one kind."""
    if kind == "collection_type":
        return _item_casts(upstream.collection_type, downstream.collection_type)
    if kind == "map_value_type":
        return _item_casts(upstream.map_value_type, downstream.map_value_type)
    if kind == "blob":
        formats = {upstream.blob.format, downstream.blob.format}
        return len(formats) == 1 or "" in formats
    return kind is None or _casts_simple(upstream, downstream)


def _casts_to_union(upstream: Any, variants: Iterable[Any]) -> bool:
    if upstream.WhichOneof("type") == "union_type":
        given = upstream.union_type.variants
        return all(any(castable(u, v) for v in variants) for u in given)
    return sum(castable(upstream, variant) for variant in variants) == 1


def _item_casts(upstream: Any, downstream: Any) -> bool:
    # The items of an empty list or map have the type NONE, which goes with any.
    return is_none(upstream) or castable(upstream, downstream)


def _casts_enum(upstream: Any, downstream: Any) -> bool:
    """Take an enum with strings both ways, and with an enum of the same values."""
    if _is_simple(upstream, types_pb2.STRING) or _is_simple(
        downstream, types_pb2.STRING
    ):
        return True
    if upstream.WhichOneof("type") != downstream.WhichOneof("type"):
        return False
    same = upstream.enum_type.values == downstream.enum_type.values
    return bool(same) and _tags_agree(upstream, downstream)


def _casts_simple(upstream: Any, downstream: Any) -> bool:
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


def _tags_agree(upstream: Any, downstream: Any) -> bool:
    tag = upstream.structure.tag
    return not tag or bool(tag == downstream.structure.tag)


def is_none(literal_type: Any) -> bool:
    """Tell whether a type is that of nothing."""
    return _is_simple(literal_type, types_pb2.NONE)


def _is_simple(literal_type: Any, simple: int) -> bool:
    is_simple = literal_type.WhichOneof("type") == "simple"
    return is_simple and bool(literal_type.simple == simple)


def allows_none(asked: Any) -> bool:
    """Tell whether a type is a union with a variant for nothing."""
    if asked.WhichOneof("type") != "union_type":
        return False
    return any(is_none(variant) for variant in asked.union_type.variants)


def literal_type(literal: Any) -> Any | None:
    """Return the core.LiteralType of a core.Literal, None if it lacks a value."""
    kind = literal.WhichOneof("value")
    if kind == "scalar":
        return scalar_type(literal.scalar)
    if kind == "collection":
        inner = _common_type(literal.collection.literals)
        return inner and types_pb2.LiteralType(collection_type=inner)
    if kind == "map":
        inner = _common_type(literal.map.literals.values())
        return inner and types_pb2.LiteralType(map_value_type=inner)
    if kind == "offloaded_metadata":
        return literal.offloaded_metadata.inferred_type
    return None


def _common_type(literals: Iterable[Any]) -> Any | None:
    found: dict[bytes, Any] = {}
    empty: Any = NONE
    for literal in literals:
        inner = literal_type(literal)
        if inner is None:
            return None
        if inner.WhichOneof("type") == "collection_type" and is_none(
            inner.collection_type
        ):
            empty = inner
            continue
        found[inner.SerializeToString(deterministic=True)] = inner
    if not found:
        return empty
    variants = [found[key] for key in sorted(found)]
    if len(variants) == 1:
        return variants[0]
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))


def scalar_type(scalar: Any) -> Any | None:
    """Return the core.LiteralType of a core.Scalar, None if it has no value."""
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _PRIMITIVES.get(scalar.primitive.WhichOneof("value") or "")
    if kind == "binary":
        return STRUCT if scalar.binary.tag == MSGPACK else BINARY
    if kind == "union":
        variants = types_pb2.UnionType(variants=[scalar.union.type])
        return types_pb2.LiteralType(union_type=variants)
    return _PLAIN.get(kind) or _stated_type(scalar, kind)


def _stated_type(scalar: Any, kind: str | None) -> Any | None:
    """Return the type of a value that carries its own."""
    if kind == "blob":
        return types_pb2.LiteralType(blob=scalar.blob.metadata.type)
    if kind == "schema":
        return types_pb2.LiteralType(schema=scalar.schema.type)
    if kind == "structured_dataset":
        dataset = scalar.structured_dataset.metadata.structured_dataset_type
        return types_pb2.LiteralType(structured_dataset_type=dataset)
    return None


def literal_matches(literal: Any, expected: Any) -> bool:
    """Tell whether a core.Literal may be given where a core.LiteralType is expected.

    As `castable` of its type, and beyond it that enums have one of their values.
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
        items = literal.map.literals.values()
        return all(literal_matches(item, expected.map_value_type) for item in items)
    given = literal_type(literal)
    return given is not None and castable(given, expected)


def _union_matches(union: Any, expected: Any) -> bool:
    """Match a value that says which variant it is."""
    wanted = [expected]
    if expected.WhichOneof("type") == "union_type":
        wanted = expected.union_type.variants
    if union.type.WhichOneof("type") is not None:
        wanted = [variant for variant in wanted if castable(union.type, variant)]
    return any(literal_matches(union.value, variant) for variant in wanted)


def none_literal() -> Any:
    """Return the literal that says: nothing."""
    scalar = literals_pb2.Scalar(none_type=literals_pb2.Void())
    return literals_pb2.Literal(scalar=scalar)


def describe(asked: Any) -> str:
    """Return a type in a few words, for messages."""
    kind = asked.WhichOneof("type")
    if kind == "simple":
        return str(types_pb2.SimpleType.Name(asked.simple)).lower()
    if kind == "collection_type":
        return f"list of {describe(asked.collection_type)}"
    if kind == "map_value_type":
        return f"map of {describe(asked.map_value_type)}"
    if kind == "union_type":
        return " or ".join(describe(v) for v in asked.union_type.variants)
    if kind == "enum_type":
        return f"one of {', '.join(asked.enum_type.values)}"
    return str(kind or "nothing").removesuffix("_type").replace("_", " ")
