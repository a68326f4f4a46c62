"""JSON values as literals of declared types, for callers without flytekit."""

from __future__ import annotations

import reprlib
from datetime import datetime

import msgspec
from flyteidl.core import literals_pb2, types_pb2

from domain.literals.literal_types import MSGPACK, describe, none_literal
from schemas.json_types import JsonValue

_DURATION_MAX_S = 315_576_000_000
"""Protobuf's longest duration: ten thousand years."""


class TypeMismatchError(ValueError):
    """A JSON value doesn't fit the type that is expected."""


def to_literal(
    value: JsonValue, expected: types_pb2.LiteralType
) -> literals_pb2.Literal:
    """Return a JSON value as a literal of a type; raises TypeMismatchError."""
    try:
        literal = _literal(value, expected)
    except TypeMismatchError:
        raise  # of an item, whose text says more
    except (ValueError, OverflowError, RecursionError) as error:
        # A number out of range, a text that isn't Unicode, a date before year 1, …
        raise _mismatch(value, expected) from error
    if literal is None:
        raise _mismatch(value, expected)
    return literal


def _mismatch(value: JsonValue, expected: types_pb2.LiteralType) -> TypeMismatchError:
    shown = reprlib.repr(value)  # short, whatever its size and depth
    return TypeMismatchError(f"Expected {describe(expected)}, but got {shown}")


def _literal(
    value: JsonValue, expected: types_pb2.LiteralType
) -> literals_pb2.Literal | None:
    kind = expected.WhichOneof("type")
    if kind == "union_type":
        return _union(value, expected.union_type)
    if kind == "collection_type" and isinstance(value, list):
        items = [to_literal(item, expected.collection_type) for item in value]
        collection = literals_pb2.LiteralCollection(literals=items)
        return literals_pb2.Literal(collection=collection)
    if kind == "map_value_type" and isinstance(value, dict):
        named = {k: to_literal(v, expected.map_value_type) for k, v in value.items()}
        return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=named))
    if kind == "enum_type" and isinstance(value, str):
        return _text(value) if value in expected.enum_type.values else None
    if kind == "simple":
        return _simple(value, expected.simple)
    if kind == "blob" and isinstance(value, str):
        metadata = literals_pb2.BlobMetadata(type=expected.blob)
        blob = literals_pb2.Blob(uri=value, metadata=metadata)
        return literals_pb2.Literal(scalar=literals_pb2.Scalar(blob=blob))
    return None


def _simple(
    value: JsonValue, simple: types_pb2.SimpleType
) -> literals_pb2.Literal | None:
    match simple:
        case types_pb2.INTEGER if isinstance(value, int) and _is_number(value):
            return _primitive(literals_pb2.Primitive(integer=value))
        case types_pb2.FLOAT if isinstance(value, int | float) and _is_number(value):
            return _primitive(literals_pb2.Primitive(float_value=value))
        case types_pb2.STRING if isinstance(value, str):
            return _text(value)
        case types_pb2.BOOLEAN if isinstance(value, bool):
            return _primitive(literals_pb2.Primitive(boolean=value))
        case types_pb2.NONE if value is None:
            return none_literal()
        case types_pb2.STRUCT if isinstance(value, dict | list):
            packed = literals_pb2.Binary(
                value=msgspec.msgpack.encode(value), tag=MSGPACK
            )
            return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=packed))
        case types_pb2.DATETIME if isinstance(value, str):
            primitive = literals_pb2.Primitive()
            primitive.datetime.FromDatetime(datetime.fromisoformat(value))
            return _primitive(primitive)
        case types_pb2.DURATION if isinstance(value, int | float):
            return _duration(value)
    return None


def _is_number(value: JsonValue) -> bool:
    """Return whether a value is a number; Python takes bool for one."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _duration(seconds: float) -> literals_pb2.Literal | None:
    if not _is_number(seconds) or not abs(seconds) <= _DURATION_MAX_S:  # NaN is neither
        return None
    primitive = literals_pb2.Primitive()
    primitive.duration.FromMicroseconds(int(seconds * 1_000_000))
    return _primitive(primitive)


def _text(value: str) -> literals_pb2.Literal:
    return _primitive(literals_pb2.Primitive(string_value=value))


def _primitive(primitive: literals_pb2.Primitive) -> literals_pb2.Literal:
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


def _union(
    value: JsonValue, expected: types_pb2.UnionType
) -> literals_pb2.Literal | None:
    """Return a value as the first variant that it fits."""
    for variant in expected.variants:
        try:
            literal = to_literal(value, variant)
        except TypeMismatchError:
            continue
        union = literals_pb2.Union(value=literal, type=variant)
        return literals_pb2.Literal(scalar=literals_pb2.Scalar(union=union))
    return None
