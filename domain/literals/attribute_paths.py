"""Attribute paths: from a promised output to a value inside it (ref §4.3)."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TypeAlias, TypeGuard

import msgspec
from flyteidl.core import literals_pb2, types_pb2
from google.protobuf import struct_pb2

from domain.literals.literal_types import MSGPACK, none_literal

_INT64 = 2**63

_Scalar: TypeAlias = bool | int | float | str | bytes | None
Unpacked: TypeAlias = "_Scalar | list[Unpacked] | dict[str | int, Unpacked]"
"""What msgpack bytes hold."""


class AttributePathError(ValueError):
    """A path can't be followed: the text says where it ends."""


def promise_path(
    promise: types_pb2.OutputReference,
) -> tuple[str, list[types_pb2.PromiseAttribute]]:
    """Return the name of a promised output and the path into its value.

    The name may begin with an index, as in `[2].x`: that is the first step of the
    path. Raises AttributePathError if it isn't a number.
    """
    var, path = promise.var, list(promise.attr_path)
    if var.startswith("[") and "]." in var:
        text, var = var[1:].split("].", 1)
        try:
            index = int(text)
        except ValueError as error:
            message = f"'{text}' is no index"
            raise AttributePathError(message) from error
        path.insert(0, types_pb2.PromiseAttribute(int_value=index))
    return var, path


def attribute_key(attribute: types_pb2.PromiseAttribute) -> str | int:
    """Return one step of a path: a key, or an index."""
    if attribute.WhichOneof("value") == "int_value":
        return attribute.int_value
    return attribute.string_value


def is_index(key: str | int, items: Sized) -> TypeGuard[int]:
    """Return whether a key is an index of a list; -1 is that of the last item."""
    return isinstance(key, int) and -len(items) <= key < len(items)


def value_at(
    literal: literals_pb2.Literal, path: Sequence[types_pb2.PromiseAttribute]
) -> literals_pb2.Literal:
    """Return the value at the end of a path; raises AttributePathError."""
    for number, attribute in enumerate(path):
        kind = literal.WhichOneof("value")
        if kind in {"collection", "map"}:
            literal = _item(literal, attribute_key(attribute))
        elif kind == "scalar" and literal.scalar.HasField("union"):
            return value_at(literal.scalar.union.value, path[number:])
        else:
            return _attribute(literal, path[number:])
    return literal


def _item(literal: literals_pb2.Literal, key: str | int) -> literals_pb2.Literal:
    if literal.HasField("map"):
        if key not in literal.map.literals:
            message = f"key {key!r} is not in the map"
            raise AttributePathError(message)
        return literal.map.literals[str(key)]
    items = literal.collection.literals
    if not is_index(key, items):
        message = f"index {key!r} is not in the list of {len(items)}"
        raise AttributePathError(message)
    return items[key]


def _attribute(
    literal: literals_pb2.Literal, path: Sequence[types_pb2.PromiseAttribute]
) -> literals_pb2.Literal:
    """Return an attribute of a dataclass, which is msgpack bytes or a protobuf Struct.

    Numbers in a Struct are floats: it has no others.
    """
    kind = literal.scalar.WhichOneof("value") if literal.HasField("scalar") else None
    keys = [attribute_key(attribute) for attribute in path]
    if kind == "binary":
        binary = literal.scalar.binary
        if binary.tag not in {"", MSGPACK}:
            message = f"binary tag '{binary.tag}' can't be walked into"
            raise AttributePathError(message)
        return _from_msgpack(_follow_msgpack(_unpack(binary.value), keys))
    if kind == "generic":
        value = struct_pb2.Value(struct_value=literal.scalar.generic)
        return _from_struct(_follow_struct(value, keys))
    message = f"attribute {keys[0]!r} can't be taken of a {kind or 'literal'}"
    raise AttributePathError(message)


def _follow_msgpack(value: Unpacked, keys: Sequence[str | int]) -> Unpacked:
    for key in keys:
        match value:
            case dict() if key in value:
                value = value[key]
            case list() if is_index(key, value):
                value = value[key]
            case _:
                raise _no_attribute(key, is_text=isinstance(value, str | bytes))
    return value


def _follow_struct(
    value: struct_pb2.Value, keys: Sequence[str | int]
) -> struct_pb2.Value:
    for key in keys:
        fields, items = value.struct_value.fields, value.list_value.values
        if isinstance(key, str) and key in fields:
            value = fields[key]
        elif is_index(key, items):
            value = items[key]
        else:
            raise _no_attribute(key, is_text=value.HasField("string_value"))
    return value


def _no_attribute(key: str | int, *, is_text: bool) -> AttributePathError:
    why = "can't be taken of a text" if is_text else "is not there"
    return AttributePathError(f"attribute {key!r} {why}")


def _unpack(data: bytes) -> Unpacked:
    try:
        value: Unpacked = msgspec.msgpack.decode(data)
    except (ValueError, RecursionError) as error:  # damaged, no UTF-8, or too deep
        message = f"its msgpack bytes can't be read: {error}"
        raise AttributePathError(message) from error
    return value


def _from_msgpack(value: Unpacked) -> literals_pb2.Literal:
    """Return a decoded value as a literal: items of lists stay packed, as in Flyte.

    Whether a text or a number in a list is a datetime or a duration only its type
    says, and flytekit reads those from the packed item, not from a primitive.
    """
    match value:
        case list():
            return _collection([_packed(item) for item in value])
        case None:
            return none_literal()
        case bool():
            return _primitive(literals_pb2.Primitive(boolean=value))
        case int() if -_INT64 <= value < _INT64:
            return _primitive(literals_pb2.Primitive(integer=value))
        case float():
            return _primitive(literals_pb2.Primitive(float_value=value))
        case str():
            return _primitive(literals_pb2.Primitive(string_value=value))
        case _:
            return _packed(value)


def _packed(value: Unpacked) -> literals_pb2.Literal:
    packed = literals_pb2.Binary(value=msgspec.msgpack.encode(value), tag=MSGPACK)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=packed))


def _from_struct(value: struct_pb2.Value) -> literals_pb2.Literal:
    match value.WhichOneof("kind"):
        case "list_value":
            return _collection([_from_struct(v) for v in value.list_value.values])
        case "struct_value":
            scalar = literals_pb2.Scalar(generic=value.struct_value)
            return literals_pb2.Literal(scalar=scalar)
        case "number_value":
            return _primitive(literals_pb2.Primitive(float_value=value.number_value))
        case "string_value":
            return _primitive(literals_pb2.Primitive(string_value=value.string_value))
        case "bool_value":
            return _primitive(literals_pb2.Primitive(boolean=value.bool_value))
        case _:
            return none_literal()


def _collection(items: Sequence[literals_pb2.Literal]) -> literals_pb2.Literal:
    collection = literals_pb2.LiteralCollection(literals=items)
    return literals_pb2.Literal(collection=collection)


def _primitive(primitive: literals_pb2.Primitive) -> literals_pb2.Literal:
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))
