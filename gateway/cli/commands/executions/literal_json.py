"""Literals as plain values that people read; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf import json_format


def to_json(literal: Any) -> Any:
    """Return a core.Literal as JSON-like values; a blob is its address."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return [to_json(item) for item in literal.collection.literals]
    if kind == "map":
        return {key: to_json(item) for key, item in literal.map.literals.items()}
    if kind == "scalar":
        return _scalar(literal.scalar)
    return None


def _scalar(scalar: Any) -> Any:
    kind = scalar.WhichOneof("value")
    read = _READ.get(kind)
    return read(getattr(scalar, kind)) if read else None


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


def _uri(stored: Any) -> Any:
    return stored.uri


_READ: dict[str | None, Callable[[Any], Any]] = {
    "primitive": _primitive,
    "blob": _uri,
    "schema": _uri,
    "structured_dataset": _uri,
    "binary": _binary,
    "generic": json_format.MessageToDict,
    "union": lambda union: to_json(union.value),
    "error": lambda error: error.message,
}
