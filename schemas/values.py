"""Parts of messages: values inline or by reference, failures, log links."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """A literal map: inline as a serialized flyteidl LiteralMap, or in a blob, or both.

    `uri` is the blob's; `size` is in bytes, `digest` its SHA-256 in hexadecimal.
    """

    inline: bytes | None = None
    uri: str = ""
    digest: str = ""
    size: int = 0


NO_VALUES = Values(inline=b"")


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable object in the blob store."""

    uri: str
    digest: str
    size: int


class ErrorKind(StrEnum):
    """Who caused a failure, by flyteidl's names (ExecutionError.ErrorKind)."""

    UNKNOWN = "UNKNOWN"
    USER = "USER"
    SYSTEM = "SYSTEM"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why something failed. `kind` is an ErrorKind.

    `error_uri` is the error document's ('' without one). `occurred_at_us` is 0 where
    the time isn't known.
    """

    code: str
    message: str
    kind: str = "UNKNOWN"
    error_uri: str = ""
    occurred_at_us: int = 0
    worker: str = ""


class TaskLog(msgspec.Struct, frozen=True, kw_only=True):
    """A link to the output of an attempt."""

    name: str
    uri: str


class KeyValue(msgspec.Struct, frozen=True, kw_only=True):
    """One environment variable."""

    key: str
    value: str
