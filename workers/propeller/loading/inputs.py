"""Inputs of a creation: read in whichever form they come, and stored."""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError

from domain.admission import LaunchPlan
from domain.literals import json_values
from domain.registry.identity import invalid
from infra.blobs.files import (
    BlobNotFoundError,
    BlobTooLargeError,
    InvalidBlobPathError,
)
from schemas.messages.commands import CreateExecution
from schemas.messages.rejections import Rejected
from schemas.values import Blob, Values


class Blobs(Protocol):
    """What inputs need of a blob store."""

    def uri(self, relative: str) -> str:
        """Return the address of a path below the store's root."""
        ...

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFoundError, BlobTooLargeError."""
        ...

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob."""
        ...


async def read_inputs(
    blobs: Blobs,
    command: CreateExecution,
    plan: LaunchPlan | None,
    bytes_max: int | None = None,
) -> literals_pb2.LiteralMap | Rejected:
    """Return the inputs of a command: bytes, JSON, or a blob; or why it has none.

    JSON values take the types that the launch plan expects. A blob has `bytes_max`
    bytes at most.
    """
    forms = (command.inputs, command.inputs_json, command.inputs_uri)
    if sum(form is not None for form in forms) > 1:
        return invalid(
            "Expected inputs in one form, but several of inputs, inputs_json and "
            "inputs_uri are set"
        )
    try:
        if command.inputs_uri is not None:
            data = await blobs.get(command.inputs_uri, bytes_max)
            return literals_pb2.LiteralMap.FromString(data)
        if command.inputs_json is not None:
            return _from_json(command.inputs_json, plan)
        return literals_pb2.LiteralMap.FromString(command.inputs or b"")
    except (
        DecodeError,
        ValueError,
        RecursionError,
        BlobNotFoundError,
        BlobTooLargeError,
        InvalidBlobPathError,
    ) as error:
        return invalid(f"Expected inputs that can be read, but: {error}")


async def store_inputs(
    blobs: Blobs, path: str, literals: literals_pb2.LiteralMap, inline_bytes_max: int
) -> Values:
    """Return inputs as an event holds them: inline, or in a blob if they are large."""
    data = literals.SerializeToString(deterministic=True)
    if len(data) <= inline_bytes_max:
        digest = hashlib.sha256(data).hexdigest()
        return Values(inline=data, digest=digest, size=len(data))
    blob = await blobs.put(blobs.uri(path), data)
    return Values(uri=blob.uri, digest=blob.digest, size=blob.size)


def _from_json(text: str, plan: LaunchPlan | None) -> literals_pb2.LiteralMap:
    values = json.loads(text)
    if not isinstance(values, dict):
        message = f"Expected a JSON object of inputs, but got {text[:40]!r}"
        raise ValueError(message)  # noqa: TRY004 - read_inputs rejects ValueErrors
    literals = literals_pb2.LiteralMap()
    for name, value in values.items():
        if plan is not None and name in plan.expected_inputs.parameters:
            expected = plan.expected_inputs.parameters[name].var.type
            literals.literals[name].CopyFrom(json_values.to_literal(value, expected))
        else:
            literals.literals[name].scalar.primitive.string_value = str(value)
    return literals
