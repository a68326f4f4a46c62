"""Literals as plain values that people read; pure."""

from __future__ import annotations

from typing import Any

import msgspec
from google.protobuf import json_format


def plain(literal: Any) -> Any:
    """Return a core.Literal as JSON-like values; a blob is its address."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return [plain(item) for item in literal.collection.literals]
    if kind == "map":
        return {key: plain(item) for key, item in literal.map.literals.items()}
    if kind == "scalar":
        return _scalar(literal.scalar)
    return None


def _scalar(scalar: Any) -> Any:
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _primitive(scalar.primitive)
    if kind in ("blob", "schema", "structured_dataset"):
        return getattr(scalar, kind).uri
    if kind == "binary":
        return _binary(scalar.binary)
    if kind == "generic":
        return json_format.MessageToDict(scalar.generic)
    if kind == "union":
        return plain(scalar.union.value)
    if kind == "error":
        return scalar.error.message
    return None


def _primitive(primitive: Any) -> Any:
    kind = primitive.WhichOneof("value")
    if kind in ("datetime", "duration"):
        return getattr(primitive, kind).ToJsonString()
    return getattr(primitive, kind) if kind else None


def _binary(binary: Any) -> Any:
    """Return what flytekit packed: dataclasses travel as msgpack."""
    if binary.tag == "msgpack":
        try:
            return msgspec.msgpack.decode(binary.value)
        except msgspec.DecodeError:
            return f"<{len(binary.value)} bytes that aren't msgpack>"
    return f"<{len(binary.value)} bytes>"
