"""Plain JSON values as literals of declared types, for callers without flytekit."""

from __future__ import annotations

import reprlib
from datetime import datetime
from typing import Any

import msgspec
from flyteidl.core import literals_pb2, types_pb2

from domain.literals.casting import describe, none_literal

_FIELDS: dict[int, tuple[str, type | tuple[type, ...]]] = {
    types_pb2.INTEGER: ("integer", int),
    types_pb2.FLOAT: ("float_value", (int, float)),
    types_pb2.STRING: ("string_value", str),
    types_pb2.BOOLEAN: ("boolean", bool),
}


_DURATION_MAX_S = 315_576_000_000
"""Protobuf's longest duration: ten thousand years."""


class TypeMismatchError(ValueError):
    """A JSON value doesn't fit the type that is asked."""


def to_literal(value: Any, asked: Any) -> Any:
    """Return a JSON value as a core.Literal of a type; raises Unfit."""
    kind = asked.WhichOneof("type")
    if kind == "union_type":
        return _union(value, asked)
    if kind == "collection_type" and isinstance(value, list):
        items = [to_literal(item, asked.collection_type) for item in value]
        collection = literals_pb2.LiteralCollection(literals=items)
        return literals_pb2.Literal(collection=collection)
    if kind == "map_value_type" and isinstance(value, dict):
        named = {k: to_literal(v, asked.map_value_type) for k, v in value.items()}
        return _map(named, value, asked)
    if kind == "enum_type" and value in asked.enum_type.values:
        return _primitive(literals_pb2.Primitive(string_value=value))
    if kind == "simple":
        return _simple(value, asked)
    if kind == "blob" and isinstance(value, str):
        return _blob(value, asked)
    raise _unfit(value, asked)


def _unfit(value: Any, asked: Any) -> TypeMismatchError:
    shown = reprlib.repr(value)  # short, whatever its size and depth
    return TypeMismatchError(f"Expected {describe(asked)}, but got {shown}")


def _map(named: dict[str, Any], value: Any, asked: Any) -> Any:
    try:
        return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=named))
    except ValueError as error:  # a key that is no text: half a character
        raise _unfit(value, asked) from error


def _blob(uri: str, asked: Any) -> Any:
    try:
        blob = literals_pb2.Blob(uri=uri)
    except ValueError as error:
        raise _unfit(uri, asked) from error
    blob.metadata.type.CopyFrom(asked.blob)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(blob=blob))


def _primitive(primitive: Any) -> Any:
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


def _simple(value: Any, asked: Any) -> Any:
    if asked.simple in _FIELDS:
        field, allowed = _FIELDS[asked.simple]
        is_bool = isinstance(value, bool)
        if not isinstance(value, allowed) or is_bool != (field == "boolean"):
            raise _unfit(value, asked)
        try:
            return _primitive(literals_pb2.Primitive(**{field: value}))
        except (ValueError, OverflowError) as error:  # a number out of range
            raise _unfit(value, asked) from error
    if asked.simple == types_pb2.NONE and value is None:
        return none_literal()
    if asked.simple == types_pb2.STRUCT and isinstance(value, dict | list):
        return _struct(value, asked)
    if asked.simple == types_pb2.DATETIME and isinstance(value, str):
        return _datetime(value, asked)
    if asked.simple == types_pb2.DURATION and _is_seconds(value):
        primitive = literals_pb2.Primitive()
        primitive.duration.FromMicroseconds(int(value * 1_000_000))
        return _primitive(primitive)
    raise _unfit(value, asked)


def _struct(value: Any, asked: Any) -> Any:
    try:
        data = msgspec.msgpack.encode(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise _unfit(value, asked) from error
    packed = literals_pb2.Binary(value=data, tag="msgpack")
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=packed))


def _is_seconds(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -_DURATION_MAX_S <= value <= _DURATION_MAX_S


def _datetime(value: str, asked: Any) -> Any:
    primitive = literals_pb2.Primitive()
    try:
        primitive.datetime.FromDatetime(datetime.fromisoformat(value))
    except (ValueError, OverflowError) as error:  # no moment, or none of years 1-9999
        raise _unfit(value, asked) from error
    return _primitive(primitive)


def _union(value: Any, asked: Any) -> Any:
    for variant in asked.union_type.variants:
        try:
            literal = to_literal(value, variant)
        except TypeMismatchError:
            continue
        union = literals_pb2.Union(value=literal, type=variant)
        return literals_pb2.Literal(scalar=literals_pb2.Scalar(union=union))
    raise _unfit(value, asked)
