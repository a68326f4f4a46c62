"""Columns of a row, as the types of its fields describe them; pure.

A row is a Struct, and its fields are the columns of a table or of a query's result.
Text, numbers, times and bytes are stored as they are, an enum as its text, structs and
tuples packed (msgpack). Marks in `Annotated` say what differs from that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from functools import cache, partial
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

SqlValue = str | int | float | bytes | datetime | None
"""A value as Postgres stores it."""
ColumnValue = SqlValue | msgspec.Struct | tuple[msgspec.Struct, ...]
"""A value as a row has it."""
SqlType = Literal[
    "text", "bigint", "boolean", "double precision", "timestamptz", "bytea"
]
Dump = Callable[[Any], SqlValue]
"""Makes the stored value from one of the type of the column's field."""
Load = Callable[[Any], ColumnValue]
"""Makes the value of the field from the stored one."""
R = TypeVar("R", bound=msgspec.Struct)
KEY_BYTES_MAX = 524
"""How much of a text an index holds: any part of an id, with the catalog's prefix."""
_KEY_CHARACTERS_MAX = KEY_BYTES_MAX // 4
"""Texts that aren't longer than this need no encoding: a character has four bytes."""


class Merge(Enum):
    """What becomes of a column when a change sets it again."""

    LAST = auto()
    """The last value wins."""
    FIRST = auto()
    """The first value stays."""
    APPENDED = auto()
    """The new value follows the known one."""


class Stored(Enum):
    """How a column is stored, where the type of its field doesn't say it."""

    GENERATED = auto()
    """Postgres computes it."""
    AS_JSON_LINES = auto()
    """A tuple as text: a line of JSON for each item."""
    NONE_AS_NEGATIVE = auto()
    """None is stored as -1."""
    KEY = auto()
    """A text in an index: a long one is stored as its beginning and its digest."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Text fields of a packed value that have columns of their own, for filters."""

    prefix: str
    names: tuple[str, ...]


Mark = Merge | Stored | Parts


class Storage(NamedTuple):
    """How the values of a column are stored; as they are, without `dump` and `load`."""

    type: SqlType
    dump: Dump | None = None
    load: Load | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or of a query's result.

    `field` is the row's field that it is written from: its own, or that of the packed
    value of which it is a part.
    """

    name: str
    field: str
    storage: Storage
    is_nullable: bool = False
    is_generated: bool = False
    merge: Merge = Merge.LAST


@cache
def columns_of(row: type[msgspec.Struct]) -> tuple[Column, ...]:
    """Return the columns of a row, each followed by those of its parts."""
    found: list[Column] = []
    for name, hint in get_type_hints(row, include_extras=True).items():
        bare, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        found += _columns(name, bare, marks)
    return tuple(found)


@cache
def types_of(row: type[msgspec.Struct]) -> Mapping[str, SqlType]:
    """Return the types of a row's columns, by name."""
    return {column.name: column.storage.type for column in columns_of(row)}


def decode(kind: type[R], row: Mapping[str, object]) -> R:
    """Return a row of a table or of a query as its value; other columns are ignored."""
    return kind(
        **{
            name: row[name] if load is None else load(row[name])
            for name, load in _loads(kind)
        }
    )


@cache
def _loads(row: type[msgspec.Struct]) -> Sequence[tuple[str, Load | None]]:
    return [(c.name, c.storage.load) for c in columns_of(row) if c.name == c.field]


def _columns(name: str, hint: type, marks: Sequence[Mark]) -> Iterator[Column]:
    """Yield a field's column, then those of its parts."""
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    is_tuple = get_origin(kinds[0]) is tuple and Stored.AS_JSON_LINES not in marks
    has_none = NoneType in kinds and Stored.NONE_AS_NEGATIVE not in marks
    is_nullable = has_none or is_tuple  # NULL is an empty tuple
    yield Column(
        name=name,
        field=name,
        storage=_storage(kinds[0], marks),
        is_nullable=is_nullable,
        is_generated=Stored.GENERATED in marks,
        merge=next((mark for mark in marks if isinstance(mark, Merge)), Merge.LAST),
    )
    for parts in marks:
        if isinstance(parts, Parts):
            for part in parts.names:
                storage = Storage("text", partial(_dump_part, part))
                yield Column(f"{parts.prefix}{part}", name, storage, is_nullable)


def _storage(kind: type, marks: Sequence[Mark]) -> Storage:
    if Stored.AS_JSON_LINES in marks:
        lines = msgspec.json.Decoder(get_args(kind)[0])
        return Storage("text", _dump_lines, partial(_load_lines, lines))
    if Stored.KEY in marks:
        return Storage("text", key_text)
    if Stored.NONE_AS_NEGATIVE in marks:
        return Storage("bigint", _dump_index, _load_index)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if get_origin(kind) is Literal:
        return _PLAIN[str]
    if get_origin(kind) is None and issubclass(kind, StrEnum):
        return Storage("text", _dump_member, partial(_load_member, kind))
    empty = () if get_origin(kind) is tuple else None
    packed: msgspec.msgpack.Decoder[ColumnValue] = msgspec.msgpack.Decoder(kind)
    return Storage("bytea", _pack, partial(_unpack, packed, empty))


def without_nul(text: str | None) -> str | None:
    """Return a text that Postgres takes: with another character for NUL."""
    if text and "\0" in text:
        return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text


def key_text(text: str | None) -> str | None:
    """Return a text as an index holds it: of a long one the beginning and the digest.

    Postgres takes no index row above 2,704 bytes; five of these fit into one.
    """
    if text and "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if text is None or len(text) <= _KEY_CHARACTERS_MAX:
        return text
    data = text.encode()
    if len(data) <= KEY_BYTES_MAX:
        return text
    digest = hashlib.sha256(data).hexdigest()
    start = data[: KEY_BYTES_MAX - len(digest) - 1].decode(errors="ignore")
    return f"{start}~{digest}"


def stored_key(key: msgspec.Struct) -> tuple[str | None, ...]:
    """Return the texts of a key as columns hold them."""
    return tuple(key_text(part) for part in msgspec.structs.astuple(key))


def _load_bytes(data: bytes | memoryview | None) -> bytes | None:
    return None if data is None else bytes(data)


_PLAIN: Mapping[type, Storage] = {
    str: Storage("text", without_nul),
    int: Storage("bigint"),
    bool: Storage("boolean"),
    float: Storage("double precision"),
    datetime: Storage("timestamptz"),
    bytes: Storage("bytea", None, _load_bytes),
}


def _pack(value: msgspec.Struct | tuple[msgspec.Struct, ...] | None) -> bytes | None:
    """Return a packed value; NULL for none, and for an empty tuple."""
    return msgspec.msgpack.encode(value) if value else None


def _unpack(
    decoder: msgspec.msgpack.Decoder[ColumnValue],
    empty: tuple[()] | None,
    data: bytes | memoryview | None,
) -> ColumnValue:
    return empty if data is None else decoder.decode(data)


def _dump_part(name: str, value: msgspec.Struct | None) -> str | None:
    return None if value is None else without_nul(getattr(value, name))


def _dump_member(member: StrEnum | None) -> str | None:
    return None if member is None else str(member)


def _load_member(kind: type[StrEnum], text: str | None) -> StrEnum | None:
    return None if text is None else kind(text)


def _dump_lines(items: tuple[msgspec.Struct, ...]) -> str:
    return "".join(msgspec.json.encode(item).decode() + "\n" for item in items)


def _load_lines(
    decoder: msgspec.json.Decoder[msgspec.Struct], text: str
) -> tuple[msgspec.Struct, ...]:
    return tuple(decoder.decode(line) for line in text.split("\n")[:-1])


def _dump_index(index: int | None) -> int:
    return -1 if index is None else index


def _load_index(number: int) -> int | None:
    return None if number < 0 else number
