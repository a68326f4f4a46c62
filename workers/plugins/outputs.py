"""The output protocol: the result that a task's files mean (ref §6.5)."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec
from flyteidl.core import errors_pb2, execution_pb2, literals_pb2
from google.protobuf import timestamp_pb2
from google.protobuf.message import DecodeError
from msgspec.structs import replace

from domain.execution.outcomes.limits import KILLED
from domain.text_limits import cut
from infra.blobs.files import BlobNotFoundError, BlobTooLargeError
from schemas.values import NO_VALUES, ErrorKind, Failure, Values
from workers.plugins.plugin import (
    Failed,
    Result,
    Succeeded,
    permanent_failure,
    system_retryable_failure,
)

MESSAGE_MAX = 100_000
"""Characters kept of an error's message; the attempt's log has all of it."""
_NAME_BYTES_MAX = 1_000
"""Bytes kept of an error's code, and of the worker's name."""
_TIME_END_US = 253_402_300_800_000_000
"""The end of the year 9999."""
_RECOVERABLE = errors_pb2.ContainerError.RECOVERABLE
_KINDS: Mapping[int, ErrorKind] = {
    execution_pb2.ExecutionError.USER: ErrorKind.USER,
    execution_pb2.ExecutionError.SYSTEM: ErrorKind.SYSTEM,
}


ERROR = "error.pb"
"""What a task's error document is called in the folder of its results."""


class OutputStore(Protocol):
    """The blob store that outputs are read from."""

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFoundError, BlobTooLargeError."""
        ...

    async def size(self, uri: str) -> int | None:
        """Return a blob's size in bytes; None if it doesn't exist."""
        ...


class DynamicSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Instead of outputs, the task wrote a core.DynamicJobSpec to be compiled."""

    spec_uri: str
    deck_uri: str | None


async def read_result(
    blobs: OutputStore,
    prefix: str,
    declared: Collection[str],
    *,
    inline_limit: int,
    bytes_max: int,
) -> Result | DynamicSpec:
    """Return the result of an attempt whose process exited with 0.

    `declared` names the outputs that the task must have written.
    """
    failure = await _read_error(blobs, f"{prefix}/{ERROR}", bytes_max)
    if failure is not None:
        return failure
    deck = deck_address(prefix)
    deck_uri = deck if await blobs.size(deck) is not None else None
    spec_uri = f"{prefix}/futures.pb"
    if await blobs.size(spec_uri) is not None:
        return DynamicSpec(spec_uri=spec_uri, deck_uri=deck_uri)
    uri = f"{prefix}/outputs.pb"
    try:
        data = await blobs.get(uri, bytes_max)
    except BlobTooLargeError as large:
        return permanent_failure("OutputSizeExceeded", str(large))
    except BlobNotFoundError:
        if not declared:
            return Succeeded(outputs=NO_VALUES, deck_uri=deck_uri)
        return _not_found(f"Expected outputs at {uri}, but the task wrote none")
    failure = _validate(data, uri, declared)
    if failure is not None:
        return failure
    return Succeeded(outputs=written_values(data, uri, inline_limit), deck_uri=deck_uri)


def deck_address(prefix: str) -> str:
    """Return where an attempt writes its deck, if it generates one."""
    return f"{prefix}/deck.html"


def _validate(data: bytes, uri: str, declared: Collection[str]) -> Failed | None:
    """Return the failure of outputs that can't be decoded or are incomplete."""
    try:
        written = literals_pb2.LiteralMap.FromString(data).literals
    except DecodeError:
        message = f"Expected a serialized LiteralMap at {uri}, but it can't be decoded"
        return system_retryable_failure("OutputsNotFound", message)
    missing = sorted(name for name in declared if name not in written)
    if missing:
        return _not_found(
            f"Expected the outputs {missing} at {uri}, but they are missing"
        )
    return None


def _not_found(message: str) -> Failed:
    """Return the failure of a task that didn't write the outputs that it declares.

    It isn't known whose fault that is, so a retry costs one of the user's.
    """
    failure = Failure(code="OutputsNotFound", message=message, kind=ErrorKind.UNKNOWN)
    return Failed(failure=failure, recoverable=True)


def inline_values(data: bytes) -> Values:
    """Return values that are only inline, of a serialized LiteralMap."""
    digest = hashlib.sha256(data).hexdigest()
    return Values(inline=data, digest=digest, size=len(data))


def written_values(data: bytes, uri: str, inline_limit: int) -> Values:
    """Return values that were written to a blob; small ones are inline as well."""
    inline = data if len(data) <= inline_limit else None
    return replace(inline_values(data), inline=inline, uri=uri)


async def _read_error(blobs: OutputStore, uri: str, limit: int) -> Failed | None:
    """Return the failure in an ErrorDocument: it determines kind and recovery."""
    try:
        document = errors_pb2.ErrorDocument.FromString(await blobs.get(uri, limit))
    except BlobNotFoundError:
        return None
    except (BlobTooLargeError, DecodeError) as error:
        message = f"Cannot read the error document at {uri}: {error}"
        return system_retryable_failure("ErrorFileBadFormat", message)
    found = document.error
    if not found.code and not found.message and not found.kind:
        message = f"Expected an error in the document at {uri}, but it is empty"
        return system_retryable_failure("ErrorFileBadFormat", message)
    return Failed(
        failure=Failure(
            code=cut(found.code, _NAME_BYTES_MAX),
            message=truncate_middle(found.message),
            kind=_KINDS.get(found.origin, ErrorKind.UNKNOWN),
            occurred_at_us=_time_us(found.timestamp),
            worker=cut(found.worker, _NAME_BYTES_MAX),
        ),
        recoverable=found.kind == _RECOVERABLE,
    )


def _time_us(found: timestamp_pb2.Timestamp) -> int:
    """Return a time in microseconds; 0 for none, or one that no message can hold."""
    us: int = found.ToMicroseconds()
    return us if 0 <= us < _TIME_END_US else 0


def truncate_middle(message: str) -> str:
    """Return a message, without its middle if it has over `MESSAGE_MAX` characters.

    Several events and lists repeat it, and its end says what went wrong.
    """
    if len(message) <= MESSAGE_MAX:
        return message
    half = MESSAGE_MAX // 2
    left_out = len(message) - 2 * half
    return f"{message[:half]}\n[{left_out} characters]\n{message[-half:]}"


def exit_failure(code: int, log_tail: str) -> Failed:
    """Return the failure of a process whose exit code isn't 0 (ref §6.6).

    A negative code is the number of the signal that ended it.
    """
    if code in KILLED:
        message = f"Expected the process to exit by itself, but it was killed ({code})"
        failure = system_retryable_failure("Interrupted", message)
        return replace(failure, exit_code=code)
    how = f"exited with {code}" if code > 0 else f"was ended by {_signal_name(-code)}"
    message = f"Expected exit code 0, but the process {how}"
    return Failed(
        failure=Failure(
            code="Error",
            message=f"{message}:\n{log_tail}" if log_tail else message,
            kind=ErrorKind.USER,
        ),
        recoverable=True,
        exit_code=code,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
