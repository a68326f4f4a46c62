"""The output protocol: what a task left under its prefix (ref §6.5)."""

from __future__ import annotations

import hashlib
from typing import Protocol

from flyteidl.core import errors_pb2, execution_pb2, literals_pb2
from google.protobuf.message import DecodeError

from infra.blobs import BlobNotFound, BlobTooLarge
from schemas.values import NO_VALUES, Failure, TaskLog, Values
from workers.plugins.plugin import Failed, Result, Succeeded

_RECOVERABLE = errors_pb2.ContainerError.RECOVERABLE
_KILLED = frozenset({-9, 137, 247})


class Blobs(Protocol):
    """Where outputs are read."""

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes."""
        ...

    async def size(self, uri: str) -> int | None:
        """Return a blob's size; None if there is none."""
        ...


async def read_result(
    blobs: Blobs,
    prefix: str,
    *,
    has_outputs: bool,
    inline_limit: int,
    bytes_max: int,
    logs: tuple[TaskLog, ...],
) -> Result:
    """Return the result of an attempt whose process ended with 0."""
    error = await _read(blobs, f"{prefix}/error.pb", bytes_max)
    if error is not None:
        return _failed(error, logs)
    deck = f"{prefix}/deck.html"
    deck_uri = deck if await blobs.size(deck) is not None else ""
    if await blobs.size(f"{prefix}/futures.pb") is not None:
        return _refuse_dynamic(logs)
    uri = f"{prefix}/outputs.pb"
    try:
        data = await _read(blobs, uri, bytes_max)
    except BlobTooLarge as large:
        return Failed(
            failure=Failure(code="OutputSizeExceeded", message=str(large), kind="USER"),
            recoverable=False,
            logs=logs,
        )
    if data is None:
        if not has_outputs:
            return Succeeded(outputs=NO_VALUES, deck_uri=deck_uri, logs=logs)
        message = f"Expected outputs at {uri}, but the task wrote none"
        return _system("OutputsNotFound", message, logs)
    return _succeeded(data, uri, deck_uri, inline_limit, logs)


def _succeeded(
    data: bytes, uri: str, deck_uri: str, inline_limit: int, logs: tuple[TaskLog, ...]
) -> Result:
    try:
        literals_pb2.LiteralMap.FromString(data)
    except DecodeError:
        message = f"Expected outputs at {uri} that can be read, but they are damaged"
        return _system("OutputsNotFound", message, logs)
    outputs = Values(
        inline=data if len(data) <= inline_limit else None,
        uri=uri,
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
    )
    return Succeeded(outputs=outputs, deck_uri=deck_uri, logs=logs)


async def _read(blobs: Blobs, uri: str, limit: int) -> bytes | None:
    try:
        return await blobs.get(uri, limit)
    except BlobNotFound:
        return None


def _system(code: str, message: str, logs: tuple[TaskLog, ...]) -> Failed:
    failure = Failure(code=code, message=message, kind="SYSTEM")
    return Failed(failure=failure, recoverable=True, logs=logs)


def _refuse_dynamic(logs: tuple[TaskLog, ...]) -> Failed:
    failure = Failure(
        code="Unimplemented",
        message="Expected outputs, but the task made a dynamic workflow, "
        "and this engine doesn't run those yet",
        kind="USER",
    )
    return Failed(failure=failure, recoverable=False, logs=logs)


def _failed(data: bytes, logs: tuple[TaskLog, ...]) -> Failed:
    """Return the failure in an ErrorDocument: it decides kind and recovery."""
    try:
        document = errors_pb2.ErrorDocument.FromString(data)
    except DecodeError:
        document = errors_pb2.ErrorDocument()
    error = document.error
    if not error.code and not error.message and not error.kind:
        message = "Expected an error document, but it can't be read"
        return _system("ErrorFileBadFormat", message, logs)
    return Failed(
        failure=Failure(
            code=error.code,
            message=error.message,
            kind=_kind(error.origin),
            occurred_at_us=error.timestamp.ToMicroseconds(),
            worker=error.worker,
        ),
        recoverable=error.kind == _RECOVERABLE,
        logs=logs,
    )


def _kind(origin: int) -> str:
    """Return an ErrorKind's name; a newer writer may know more of them than we do."""
    known = execution_pb2.ExecutionError.ErrorKind
    return str(known.Name(origin)) if origin in known.values() else "UNKNOWN"


def exited(code: int, tail: str, logs: tuple[TaskLog, ...]) -> Failed:
    """Return the failure of a process that ended otherwise than with 0 (ref §0b.15)."""
    if code in _KILLED:
        message = f"Expected the process to end by itself, but it was killed ({code})"
        return _system("Interrupted", message, logs)
    message = f"Expected exit code 0, but the process ended with {code}"
    failure = Failure(code="Error", message=f"{message}:\n{tail}", kind="USER")
    return Failed(failure=failure, recoverable=True, logs=logs)
