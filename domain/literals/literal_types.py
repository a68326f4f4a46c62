"""Types of literals: which one a value has, and how messages name it (ref §3.3)."""

from __future__ import annotations

from collections.abc import Iterable

from flyteidl.core import literals_pb2, types_pb2

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


def is_simple(
    literal_type: types_pb2.LiteralType, simple: types_pb2.SimpleType
) -> bool:
    """Return whether a type is this simple one."""
    return literal_type.HasField("simple") and literal_type.simple == simple


def is_none(literal_type: types_pb2.LiteralType) -> bool:
    """Return whether a type is NONE, that of the literal without a value."""
    return is_simple(literal_type, types_pb2.NONE)


def allows_none(expected: types_pb2.LiteralType) -> bool:
    """Return whether a type is a union with NONE among its variants."""
    return any(is_none(variant) for variant in expected.union_type.variants)


def literal_type(literal: literals_pb2.Literal) -> types_pb2.LiteralType | None:
    """Return the type of a literal, None if it has no value."""
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


def _common_type(
    literals: Iterable[literals_pb2.Literal],
) -> types_pb2.LiteralType | None:
    found: dict[bytes, types_pb2.LiteralType] = {}
    empty = NONE
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


def scalar_type(scalar: literals_pb2.Scalar) -> types_pb2.LiteralType | None:
    """Return the type of a scalar, None if it has no value."""
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _PRIMITIVES.get(scalar.primitive.WhichOneof("value") or "")
    if kind == "binary":
        return STRUCT if scalar.binary.tag == MSGPACK else BINARY
    if kind == "union":
        variants = types_pb2.UnionType(variants=[scalar.union.type])
        return types_pb2.LiteralType(union_type=variants)
    return _PLAIN.get(kind) or _stated_type(scalar, kind)


def _stated_type(
    scalar: literals_pb2.Scalar, kind: str | None
) -> types_pb2.LiteralType | None:
    """Return the type of a value that carries its own."""
    if kind == "blob":
        return types_pb2.LiteralType(blob=scalar.blob.metadata.type)
    if kind == "schema":
        return types_pb2.LiteralType(schema=scalar.schema.type)
    if kind == "structured_dataset":
        dataset = scalar.structured_dataset.metadata.structured_dataset_type
        return types_pb2.LiteralType(structured_dataset_type=dataset)
    return None


def none_literal() -> literals_pb2.Literal:
    """Return the literal without a value."""
    scalar = literals_pb2.Scalar(none_type=literals_pb2.Void())
    return literals_pb2.Literal(scalar=scalar)


def describe(expected: types_pb2.LiteralType | None) -> str:
    """Return a short text of a type, for messages; None has no type."""
    if expected is None:
        return "nothing"
    kind = expected.WhichOneof("type")
    if kind == "simple":
        return types_pb2.SimpleType.Name(expected.simple).lower()
    if kind == "collection_type":
        return f"list of {describe(expected.collection_type)}"
    if kind == "map_value_type":
        return f"map of {describe(expected.map_value_type)}"
    if kind == "union_type":
        return " or ".join(describe(v) for v in expected.union_type.variants)
    if kind == "enum_type":
        return f"one of {', '.join(expected.enum_type.values)}"
    return str(kind or "nothing").removesuffix("_type").replace("_", " ")
