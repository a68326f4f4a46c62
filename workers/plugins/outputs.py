"""The output protocol: what a task left under its prefix, what it means (ref §6.5)."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Collection
from typing import Protocol

import msgspec
from flyteidl.core import errors_pb2, execution_pb2, literals_pb2
from google.protobuf.message import DecodeError
from msgspec.structs import replace

from domain.execution.outcomes.limits import KILLED
from infra.blobs.files import BlobNotFoundError, BlobTooLargeError
from schemas.values import NO_VALUES, Failure, Values
from workers.plugins.plugin import Failed, Result, Succeeded, failed, interrupted

MESSAGE_MAX = 100_000
"""What is told of an error's message, in characters: its log has all of it."""
_RECOVERABLE = errors_pb2.ContainerError.RECOVERABLE


class Readable(Protocol):
    """Where outputs are read."""

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes."""
        ...

    async def size(self, uri: str) -> int | None:
        """Return a blob's size; None if there is none."""
        ...


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Instead of outputs there is a core.DynamicJobSpec, still to be compiled."""

    spec_uri: str
    deck_uri: str


async def read_result(
    blobs: Readable,
    prefix: str,
    declared: Collection[str],
    *,
    inline_limit: int,
    bytes_max: int,
) -> Result | Made:
    """Return the result of an attempt whose process ended with 0.

    `declared` names the outputs that the task must have written.
    """
    found = await _read_error(blobs, f"{prefix}/error.pb", bytes_max)
    if found is not None:
        return found
    deck = deck_uri(prefix)
    deck = deck if await blobs.size(deck) is not None else ""
    spec = f"{prefix}/futures.pb"
    if await blobs.size(spec) is not None:
        return Made(spec_uri=spec, deck_uri=deck)
    uri = f"{prefix}/outputs.pb"
    try:
        data = await blobs.get(uri, bytes_max)
    except BlobTooLargeError as large:
        return failed("OutputSizeExceeded", str(large))
    except BlobNotFoundError:
        if not declared:
            return Succeeded(outputs=NO_VALUES, deck_uri=deck)
        return _not_found(f"Expected outputs at {uri}, but the task wrote none")
    return _judge(data, uri, deck, declared, inline_limit)


def deck_uri(prefix: str) -> str:
    """Return where an attempt puts its deck, if it makes one."""
    return f"{prefix}/deck.html"


def _judge(
    data: bytes, uri: str, deck: str, declared: Collection[str], inline_limit: int
) -> Result:
    try:
        written = literals_pb2.LiteralMap.FromString(data).literals
    except DecodeError:
        message = f"Expected outputs at {uri} that can be read, but they are damaged"
        return interrupted("OutputsNotFound", message)
    missing = sorted(name for name in declared if name not in written)
    if missing:
        return _not_found(
            f"Expected the outputs {missing} at {uri}, but they aren't there"
        )
    return Succeeded(outputs=written_values(data, uri, inline_limit), deck_uri=deck)


def _not_found(message: str) -> Failed:
    """Return the failure of a task that didn't write what it declares.

    Whose fault that is isn't known, so only the user's retries are spent on it.
    """
    failure = Failure(code="OutputsNotFound", message=message, kind="UNKNOWN")
    return Failed(failure=failure, recoverable=True)


def written_values(data: bytes, uri: str, inline_limit: int) -> Values:
    """Return values that lie in a blob, inline too if they are small."""
    return Values(
        inline=data if len(data) <= inline_limit else None,
        uri=uri,
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )


async def _read_error(blobs: Readable, uri: str, limit: int) -> Failed | None:
    """Return the failure in an ErrorDocument: it decides kind and recovery."""
    try:
        document = errors_pb2.ErrorDocument.FromString(await blobs.get(uri, limit))
    except BlobNotFoundError:
        return None
    except (BlobTooLargeError, DecodeError) as unread:
        message = f"Expected an error document at {uri} that can be read, but: {unread}"
        return interrupted("ErrorFileBadFormat", message)
    error = document.error
    if not error.code and not error.message and not error.kind:
        message = f"Expected an error document at {uri}, but it is empty"
        return interrupted("ErrorFileBadFormat", message)
    return Failed(
        failure=Failure(
            code=error.code,
            message=shortened(error.message),
            kind=_kind(error.origin),
            occurred_at_us=error.timestamp.ToMicroseconds(),
            worker=error.worker,
        ),
        recoverable=error.kind == _RECOVERABLE,
    )


def shortened(message: str) -> str:
    """Return a message, without its middle if it is very long.

    It is told by many events and lists, and says at its end what went wrong.
    """
    if len(message) <= MESSAGE_MAX:
        return message
    half = MESSAGE_MAX // 2
    left_out = len(message) - 2 * half
    return f"{message[:half]}\n[{left_out} characters]\n{message[-half:]}"


def _kind(origin: int) -> str:
    kinds = execution_pb2.ExecutionError.ErrorKind
    return str(kinds.Name(origin)) if origin in kinds.values() else "UNKNOWN"


def exited(code: int, tail: str) -> Failed:
    """Return the failure of a process that ended otherwise than with 0 (ref §6.6).

    A negative code is the signal that ended it. `tail` is the end of its log.
    """
    if code in KILLED:
        message = f"Expected the process to end by itself, but it was killed ({code})"
        return replace(interrupted("Interrupted", message), exit_code=code)
    how = f"ended with {code}" if code > 0 else f"was ended by {_signal_name(-code)}"
    message = f"Expected exit code 0, but the process {how}"
    failure = Failure(
        code="Error", message=f"{message}:\n{tail}" if tail else message, kind="USER"
    )
    return Failed(failure=failure, recoverable=True, exit_code=code)


def _signal_name(number: int) -> str:
    known = {found.value: found.name for found in signal.Signals}
    return known.get(number, f"signal {number}")
