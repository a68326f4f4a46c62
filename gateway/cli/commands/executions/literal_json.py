"""Literals as JSON values for display; pure."""

from __future__ import annotations

import msgspec
from flyteidl.core import literals_pb2
from google.protobuf import json_format

from schemas.json_types import JsonObject, JsonValue


def to_json(literal: literals_pb2.Literal) -> JsonValue:
    """Return a literal as a JSON value; a blob, schema or dataset as its URI."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return [to_json(item) for item in literal.collection.literals]
    if kind == "map":
        return {key: to_json(item) for key, item in literal.map.literals.items()}
    if kind == "scalar":
        return _scalar(literal.scalar)
    return None


def _scalar(scalar: literals_pb2.Scalar) -> JsonValue:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive(scalar.primitive)
        case "blob":
            return scalar.blob.uri
        case "schema":
            return scalar.schema.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case "binary":
            return _binary(scalar.binary)
        case "generic":
            generic: JsonObject = json_format.MessageToDict(scalar.generic)
            return generic
        case "union":
            return to_json(scalar.union.value)
        case "error":
            return scalar.error.message
        case _:
            return None


def _primitive(primitive: literals_pb2.Primitive) -> JsonValue:
    kind = primitive.WhichOneof("value")
    if kind == "datetime":
        return primitive.datetime.ToJsonString()
    if kind == "duration":
        return primitive.duration.ToJsonString()
    value: JsonValue = getattr(primitive, kind) if kind else None
    return value


def _binary(binary: literals_pb2.Binary) -> JsonValue:
    """Return what flytekit encoded: dataclasses travel as msgpack."""
    if binary.tag == "msgpack":
        try:
            value: JsonValue = msgspec.msgpack.decode(binary.value)
        except msgspec.DecodeError:
            return f"<{len(binary.value)} bytes that aren't msgpack>"
        else:
            return value
    return f"<{len(binary.value)} bytes>"
