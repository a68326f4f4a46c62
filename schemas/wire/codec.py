"""Bytes ↔ message: Avro single-object encoding; pure.

C3 01, the schema's eight-byte fingerprint, then the record: the bytes say by
themselves what they are (Avro specification, single-object encoding).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from functools import cached_property
from typing import TypeAlias, TypeVar

import msgspec
from fastavro import schemaless_reader, schemaless_writer

from schemas.json_types import JsonObject, JsonValue
from schemas.messages.execution_events import ExecutionEvent
from schemas.wire import registry
from schemas.wire.registry import Entry, MessageSet, namespace

M = TypeVar("M", bound=msgspec.Struct)
MARKER = b"\xc3\x01"
_HEADER = len(MARKER) + 8


class UndecodableMessageError(ValueError):
    """The bytes are no message that this version knows."""

    def because(self, text: str) -> UndecodableMessageError:
        """Return the same error with another text."""
        return type(self)(text)


class UnknownSchemaError(UndecodableMessageError):
    """The bytes are of a schema that this version doesn't know, by its fingerprint."""

    def __init__(self, fingerprint: str, text: str = "") -> None:
        """Say which one it is, in hexadecimal digits."""
        self.fingerprint = fingerprint
        super().__init__(
            text
            or f"Expected a known schema, but fingerprint {fingerprint} is none of "
            "them; was it written by a newer version?"
        )

    def because(self, text: str) -> UnknownSchemaError:
        """Return the same error with another text."""
        return UnknownSchemaError(self.fingerprint, text)


class EncodingError(Exception):
    """The bytes of a message say something else than the message: a defect."""


class Codec:
    """Encodes and decodes the messages of some sets; schemas are parsed at first use.

    A message's class belongs to one of the sets. With `checks_encoding` each message is
    decoded again after it was encoded, and compared.
    """

    def __init__(self, *sets: MessageSet) -> None:
        """Take the sets of messages."""
        self.checks_encoding = False
        self._sets = sets
        self._versions = {
            cls: version
            for messages in sets
            for cls, version in messages.versions.items()
        }

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return tuple(entry for messages in self._sets for entry in messages.entries)

    @cached_property
    def _by_class(self) -> dict[type[msgspec.Struct], tuple[Entry, ...]]:
        """The versions in which a class is written: oldest level first."""
        found: dict[type[msgspec.Struct], tuple[Entry, ...]] = {}
        for entry in self._entries:
            older = found.get(entry.cls, ())
            is_first = not older or older[-1].level == entry.level
            found[entry.cls] = (*(older[:-1] if is_first else older), entry)
        return found

    @cached_property
    def _lacks(self) -> dict[bytes, tuple[tuple[str, object], ...]]:
        """The fields, with their defaults, that a version of a class lacks."""
        return {
            entry.fingerprint: tuple(_lacking(entry))
            for versions in self._by_class.values()
            for entry in versions[:-1]
        }

    def entry_of(self, message: msgspec.Struct) -> Entry:
        """Return the version in which a message is written; raises KeyError.

        That is the oldest of the levels that says all of it: what uses nothing of a
        level that isn't open yet can be read by every process.
        """
        *older, newest = self._by_class[type(message)]
        for entry in older:
            lacking = self._lacks[entry.fingerprint]
            if all(getattr(message, name) == default for name, default in lacking):
                return entry
        return newest

    @cached_property
    def _by_fingerprint(self) -> dict[bytes, Entry]:
        return {entry.fingerprint: entry for entry in self._entries}

    def type_name(self, message: msgspec.Struct | type[msgspec.Struct]) -> str:
        """Return a message's full name as written; that of a class is its newest."""
        cls = message if isinstance(message, type) else type(message)
        if not isinstance(message, type) and len(self._by_class.get(cls, ())) > 1:
            return self.entry_of(message).name
        return f"{namespace(self._versions.get(cls, 1))}.{cls.__name__}"

    def encode(self, message: msgspec.Struct) -> bytes:
        """Return a message's bytes; raises KeyError for one of no set.

        Raises EncodingError if that is checked, and the bytes say something else.
        """
        entry = self.entry_of(message)
        out = io.BytesIO()
        out.write(MARKER)
        out.write(entry.fingerprint)
        fields = msgspec.to_builtins(message, builtin_types=(bytes,))
        schemaless_writer(out, entry.schema, fields)
        data = out.getvalue()
        if self.checks_encoding and (found := self.decode(data)) != message:
            text = f"Expected bytes of {message}, but they hold {found}"
            raise EncodingError(text)
        return data

    def decode(self, data: bytes) -> msgspec.Struct:
        """Return the message in these bytes; raises UndecodableMessageError."""
        if len(data) < _HEADER or data[:2] != MARKER:
            message = f"Expected Avro single-object bytes, but got {data[:10].hex()!r}"
            raise UndecodableMessageError(message)
        entry = self._by_fingerprint.get(data[2:_HEADER])
        if entry is None:
            raise UnknownSchemaError(data[2:_HEADER].hex())
        stream = io.BytesIO(data)
        stream.seek(_HEADER)
        try:
            fields = schemaless_reader(stream, entry.schema, None)
            decoded = msgspec.convert(fields, entry.cls, builtin_types=(bytes,))
        except Exception as error:  # whatever the bytes lead fastavro to
            message = f"Expected a complete {entry.name}, but its bytes are damaged: "
            raise UndecodableMessageError(f"{message}{error!r}") from error
        if stream.tell() != len(data):
            extra = len(data) - stream.tell()
            message = f"Expected a complete {entry.name}, but {extra} bytes follow it"
            raise UndecodableMessageError(message)
        return decoded

    def decode_as(self, data: bytes, cls: type[M]) -> M:
        """Return the message in these bytes, which is of a class or one of its own.

        Raises UndecodableMessageError for any other.
        """
        message = self.decode(data)
        if not isinstance(message, cls):
            raise UndecodableMessageError(_unexpected(message, cls.__name__))
        return message


def _lacking(entry: Entry) -> Iterator[tuple[str, object]]:
    """Yield the fields that a version lacks; their defaults say what it means."""
    fields = entry.schema["fields"]
    assert isinstance(fields, list)  # noqa: S101 - a record's
    known = {one["name"] for one in fields if isinstance(one, dict)}
    for field in msgspec.structs.fields(entry.cls):
        if field.name not in known:
            yield field.name, field.default


def _unexpected(message: msgspec.Struct, wanted: str) -> str:
    return f"Expected bytes of a {wanted}, but they hold a {type(message).__name__}"


ENGINE = Codec(registry.ENGINE)
"""The codec of the engine's messages."""

type_name, encode = ENGINE.type_name, ENGINE.encode
decode, decode_as = ENGINE.decode, ENGINE.decode_as


def decode_execution_event(data: bytes) -> ExecutionEvent:
    """Return the event in these bytes; raises UndecodableMessageError for another."""
    message = decode(data)
    if not isinstance(message, ExecutionEvent):
        raise UndecodableMessageError(_unexpected(message, "execution's event"))
    return message


def to_json(message: msgspec.Struct) -> JsonObject:
    """Return a message's fields for people: bytes as base64 text."""
    fields: dict[str, _Builtin] = msgspec.to_builtins(message, builtin_types=(bytes,))
    return {name: _to_json(value) for name, value in fields.items()}


_Builtin: TypeAlias = (
    "dict[str, _Builtin] | tuple[_Builtin, ...] | str | bytes | int | float | None"
)


def _to_json(value: _Builtin) -> JsonValue:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return value
