"""JSON as commands print it: one value a line on standard output."""

from __future__ import annotations

import sys

import msgspec

from schemas.json_types import JsonObject, JsonValue


def to_object(value: msgspec.Struct) -> JsonObject:
    """Return the fields of a struct as a JSON object."""
    fields: JsonObject = msgspec.to_builtins(value)
    return fields


def print_json(value: JsonValue | msgspec.Struct) -> None:
    """Print a value as one line of JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.flush()
