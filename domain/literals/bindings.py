"""Bindings: a node's inputs out of literals and upstream outputs (ref §4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from flyteidl.core import literals_pb2, types_pb2
from google.protobuf import struct_pb2

from domain.graph import START
from schemas.values import Failure

_MSGPACK = "msgpack"
_INT64 = 2**63


class _UnresolvedError(Exception):
    """A binding names something that isn't there."""


def source_node_ids(bindings: Iterable[Any]) -> frozenset[str]:
    """Return the ids of the nodes whose outputs the bindings use."""
    found = (promise for b in bindings for promise in promises(b.binding))
    return frozenset(promise.node_id or START for promise in found)


def promises(data: Any) -> Iterator[Any]:
    """Yield every core.OutputReference in a core.BindingData."""
    kind = data.WhichOneof("value")
    if kind == "promise":
        yield data.promise
    elif kind == "collection":
        for item in data.collection.bindings:
            yield from promises(item)
    elif kind == "map":
        for item in data.map.bindings.values():
            yield from promises(item)


def resolve(bindings: Sequence[Any], sources: Mapping[str, Any]) -> Any | Failure:
    """Return a core.LiteralMap with every bound input, or why it can't be made.

    `sources` holds a core.LiteralMap for each node that is needed.
    """
    resolved = literals_pb2.LiteralMap()
    for binding in bindings:
        try:
            literal = _literal(binding.binding, sources)
        except _UnresolvedError as error:
            return Failure(
                code="BindingResolutionFailure",
                message=f"Expected to resolve input '{binding.var}', but {error}",
                kind="SYSTEM",
            )
        resolved.literals[binding.var].CopyFrom(literal)
    return resolved


def _literal(data: Any, sources: Mapping[str, Any]) -> Any:
    kind = data.WhichOneof("value")
    if kind == "scalar":
        return literals_pb2.Literal(scalar=data.scalar)
    if kind == "promise":
        return _promised(data.promise, sources)
    if kind == "collection":
        items = [_literal(item, sources) for item in data.collection.bindings]
        collection = literals_pb2.LiteralCollection(literals=items)
        return literals_pb2.Literal(collection=collection)
    if kind == "map":
        literals = {k: _literal(v, sources) for k, v in data.map.bindings.items()}
        return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=literals))
    return literals_pb2.Literal(
        scalar=literals_pb2.Scalar(none_type=literals_pb2.Void())
    )


def _promised(promise: Any, sources: Mapping[str, Any]) -> Any:
    node_id = promise.node_id or START
    outputs = sources[node_id].literals if node_id in sources else {}
    try:
        var, path = promise_path(promise)
    except ValueError as error:
        raise _UnresolvedError(str(error)) from error
    if var not in outputs:
        message = f"node '{node_id}' has no output '{var}'"
        raise _UnresolvedError(message)
    literal = outputs[var]
    for number, attribute in enumerate(path):
        kind = literal.WhichOneof("value")
        if kind in {"collection", "map"}:
            literal = _item(literal, attribute)
        elif kind == "scalar" and literal.scalar.WhichOneof("value") == "union":
            return _within(literal.scalar.union.value, path[number:])
        else:
            return _inside(literal, path[number:])
    return literal


def promise_path(promise: Any) -> tuple[str, list[Any]]:
    """Return an output's name, and the way into it; raises ValueError."""
    var, path = promise.var, list(promise.attr_path)
    if var.startswith("[") and "]." in var:
        text, var = var[1:].split("].", 1)
        try:
            index = int(text)
        except ValueError as error:
            message = f"'{text}' is no index"
            raise ValueError(message) from error
        path.insert(0, types_pb2.PromiseAttribute(int_value=index))
    return var, path


def _within(literal: Any, path: Sequence[Any]) -> Any:
    outputs = literals_pb2.LiteralMap(literals={"value": literal})
    promise = types_pb2.OutputReference(node_id="n", var="value", attr_path=path)
    return _promised(promise, {"n": outputs})


def attribute_key(attribute: Any) -> str | int:
    """Return one step into a value: a key, or an index."""
    if attribute.WhichOneof("value") == "int_value":
        return int(attribute.int_value)
    return str(attribute.string_value)


def _item(literal: Any, attribute: Any) -> Any:
    key = attribute_key(attribute)
    if literal.WhichOneof("value") == "map":
        if key not in literal.map.literals:
            message = f"key {key!r} is not in the map"
            raise _UnresolvedError(message)
        return literal.map.literals[key]
    items = literal.collection.literals
    if not isinstance(key, int) or not -len(items) <= key < len(items):
        message = f"index {key!r} is not in the list of {len(items)}"
        raise _UnresolvedError(message)
    return items[key]


def _inside(literal: Any, path: Sequence[Any]) -> Any:
    """Walk into a dataclass-like value: msgpack bytes, or a protobuf Struct.

    Numbers in a Struct are floats: it has no others.
    """
    kind = literal.scalar.WhichOneof("value") if literal.HasField("scalar") else None
    if kind == "binary":
        if literal.scalar.binary.tag not in {"", _MSGPACK}:
            message = f"binary tag '{literal.scalar.binary.tag}' can't be walked into"
            raise _UnresolvedError(message)
        return _from_msgpack(_walk(_unpacked(literal.scalar.binary.value), path))
    if kind == "generic":
        return _from_struct(_walk(_opened(literal.scalar.generic), path))
    message = (
        f"attribute {attribute_key(path[0])!r} can't be taken of a {kind or 'literal'}"
    )
    raise _UnresolvedError(message)


def _unpacked(data: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(data)
    except (ValueError, RecursionError) as error:  # damaged, no UTF-8, or too deep
        message = f"its msgpack bytes can't be read: {error}"
        raise _UnresolvedError(message) from error


def _opened(struct: Any) -> dict[str, Any]:
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Any) -> Any:
    """Return a protobuf Value as Python has it; also what JSON lacks: infinity."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _opened(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    return None if kind in {None, "null_value"} else getattr(value, kind)


def _walk(value: Any, path: Sequence[Any]) -> Any:
    for attribute in path:
        key = attribute_key(attribute)
        if isinstance(value, str | bytes):
            message = f"attribute {key!r} can't be taken of a text"
            raise _UnresolvedError(message)
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError) as error:
            message = f"attribute {key!r} is not there"
            raise _UnresolvedError(message) from error
    return value


def _from_msgpack(value: Any) -> Any:
    """Return what was found: a list's items stay packed, as in Flyte (ref §4.3).

    What a text or a number in a list means (a moment, a duration) says its type only,
    and flytekit reads that out of the packed item, not out of a primitive.
    """
    if isinstance(value, list):
        items = [_packed(item) for item in value]
        collection = literals_pb2.LiteralCollection(literals=items)
        return literals_pb2.Literal(collection=collection)
    simple = _primitive(value)
    return _packed(value) if simple is None else simple


def _packed(value: Any) -> Any:
    packed = literals_pb2.Binary(value=msgspec.msgpack.encode(value), tag=_MSGPACK)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(binary=packed))


def _from_struct(value: Any) -> Any:
    if isinstance(value, list):
        items = [_from_struct(item) for item in value]
        collection = literals_pb2.LiteralCollection(literals=items)
        return literals_pb2.Literal(collection=collection)
    if isinstance(value, dict):
        generic = struct_pb2.Struct()
        generic.update(value)
        return literals_pb2.Literal(scalar=literals_pb2.Scalar(generic=generic))
    simple = _primitive(value)
    assert simple is not None  # noqa: S101 - a Struct has nothing else
    return simple


def _primitive(value: Any) -> Any | None:
    if value is None:
        scalar = literals_pb2.Scalar(none_type=literals_pb2.Void())
        return literals_pb2.Literal(scalar=scalar)
    if isinstance(value, bool):
        primitive = literals_pb2.Primitive(boolean=value)
    elif isinstance(value, int) and -_INT64 <= value < _INT64:
        primitive = literals_pb2.Primitive(integer=value)
    elif isinstance(value, float):
        primitive = literals_pb2.Primitive(float_value=value)
    elif isinstance(value, str):
        primitive = literals_pb2.Primitive(string_value=value)
    else:
        return None
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))
