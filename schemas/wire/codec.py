"""Bytes ↔ message: Avro single-object encoding; pure.

C3 01, the schema's eight-byte fingerprint, then the record: the bytes say by
themselves what they are (Avro specification, single-object encoding).
"""

from __future__ import annotations

import base64
import io
from functools import cached_property
from typing import Any

import msgspec
from fastavro import schemaless_reader, schemaless_writer

from schemas.wire import registry
from schemas.wire.registry import Entry, MessageSet, namespace

MARKER = b"\xc3\x01"
_HEADER = len(MARKER) + 8


class UndecodableMessageError(ValueError):
    """The bytes are no message that this version knows."""


class Codec:
    """Encodes and decodes the messages of some sets; schemas are parsed at first use.

    A message's class belongs to one of the sets.
    """

    def __init__(self, *sets: MessageSet) -> None:
        """Take the sets of messages."""
        self._sets = sets
        self._versions = {
            cls: version
            for messages in sets
            for cls, version in messages.versions.items()
        }

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return tuple(entry for messages in self._sets for entry in messages.entries())

    @cached_property
    def _by_class(self) -> dict[type[msgspec.Struct], Entry]:
        """The newest version of each class: the last one of its entries."""
        return {entry.cls: entry for entry in self._entries}

    @cached_property
    def _by_fingerprint(self) -> dict[bytes, Entry]:
        return {entry.fingerprint: entry for entry in self._entries}

    def type_name(self, message: msgspec.Struct | type[msgspec.Struct]) -> str:
        """Return a message's full name at its newest version; a class will do."""
        cls = message if isinstance(message, type) else type(message)
        return f"{namespace(self._versions.get(cls, 1))}.{cls.__name__}"

    def encode(self, message: msgspec.Struct) -> bytes:
        """Return a message's bytes; raises KeyError for one of no set."""
        entry = self._by_class[type(message)]
        out = io.BytesIO()
        out.write(MARKER)
        out.write(entry.fingerprint)
        fields = msgspec.to_builtins(message, builtin_types=(bytes,))
        schemaless_writer(out, entry.schema, fields)
        return out.getvalue()

    def decode(self, data: bytes) -> Any:
        """Return the message in these bytes; raises UndecodableMessageError."""
        if len(data) < _HEADER or data[:2] != MARKER:
            message = f"Expected Avro single-object bytes, but got {data[:10].hex()!r}"
            raise UndecodableMessageError(message)
        entry = self._by_fingerprint.get(data[2:_HEADER])
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
            message = f"Expected a complete {entry.name}, but its bytes are damaged: "
            raise UndecodableMessageError(f"{message}{error!r}") from error
        if stream.tell() != len(data):
            extra = len(data) - stream.tell()
            message = f"Expected a complete {entry.name}, but {extra} bytes follow it"
            raise UndecodableMessageError(message)
        return decoded


ENGINE = Codec(registry.ENGINE)
"""The codec of the engine's messages."""

type_name, encode, decode = ENGINE.type_name, ENGINE.encode, ENGINE.decode


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
