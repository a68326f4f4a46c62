"""Bytes ↔ message: Avro single-object encoding; pure.

C3 01, the schema's eight-byte fingerprint, then the record: the bytes say by
themselves what they are (Avro specification, single-object encoding).
"""

from __future__ import annotations

import base64
import io
from typing import Any

import msgspec
from fastavro import schemaless_reader, schemaless_writer

from schemas.wire.registry import by_class, by_fingerprint, namespace, newest

MARKER = b"\xc3\x01"
_HEADER = len(MARKER) + 8


class UndecodableMessageError(ValueError):
    """The bytes are no message that this version knows."""


def type_name(message: Any) -> str:
    """Return the full name, with its newest version, of a message or of its class."""
    cls = message if isinstance(message, type) else type(message)
    return f"{namespace(newest(cls))}.{cls.__name__}"


def encode(message: Any) -> bytes:
    """Return a message's bytes; raises KeyError for what is no message."""
    entry = by_class()[type(message)]
    out = io.BytesIO()
    out.write(MARKER)
    out.write(entry.fingerprint)
    fields = msgspec.to_builtins(message, builtin_types=(bytes,))
    schemaless_writer(out, entry.schema, fields)
    return out.getvalue()


def decode(data: bytes) -> Any:
    """Return the message in these bytes; raises UndecodableMessage."""
    if len(data) < _HEADER or data[:2] != MARKER:
        message = f"Expected Avro single-object bytes, but got {data[:10].hex()!r}"
        raise UndecodableMessageError(message)
    entry = by_fingerprint().get(data[2:_HEADER])
    if entry is None:
        found = data[2:_HEADER].hex()
        message = (
            f"Expected a known schema, but fingerprint {found} is none of them; "
            "was it written by a newer version?"
        )
        raise UndecodableMessageError(message)
    stream = io.BytesIO(data)
    stream.seek(_HEADER)
    try:
        fields = schemaless_reader(stream, entry.schema, None)
        decoded = msgspec.convert(fields, entry.cls, builtin_types=(bytes,))
    except (EOFError, ValueError, IndexError, msgspec.ValidationError) as error:
        message = f"Expected a whole {entry.name}, but its bytes are damaged: {error!r}"
        raise UndecodableMessageError(message) from error
    if stream.tell() != len(data):
        extra = len(data) - stream.tell()
        message = f"Expected a whole {entry.name}, but {extra} bytes follow it"
        raise UndecodableMessageError(message)
    return decoded


def to_json(message: Any) -> dict[str, Any]:
    """Return a message's fields for people: bytes as base64 text."""
    fields: dict[str, Any] = msgspec.to_builtins(message, builtin_types=(bytes,))
    return {name: _plain(value) for name, value in fields.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
