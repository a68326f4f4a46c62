"""Which commands may come by the log, and where each belongs; pure."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from infra.eventlog.contract import Received
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages import commands as c
from schemas.wire import codec
from workers.dead_letters import record_location

_OWN = (c.TimeReached, c.ExpireLease)
_STREAM = "execution/"


def validate_command(command: Any, key: str, stream: str) -> str:
    """Return why a command may not come this way; '' if it may."""
    if not isinstance(command, c.Command):
        return f"Expected a command, but {type(command).__name__} is none"
    if isinstance(command, _OWN):
        name = type(command).__name__
        return f"Expected a command that may be sent, but {name} is the engine's own"
    if not key:
        return "Expected the command's stream as its key, but it has no key"
    if stream != key:
        return f"Expected the key '{key}' to be the stream, but that is '{stream}'"
    if isinstance(command, c.CreateExecution):
        ref = ExecutionRef(
            project=command.project, domain=command.domain, name=command.name
        )
        if stream != execution_stream(ref):
            return f"Expected the key {execution_stream(ref)}, but it is '{key}'"
    elif not stream.startswith(_STREAM):
        return f"Expected a stream of an execution, but it is '{stream}'"
    return ""


def with_envelope_defaults(received: Received, command: c.Command) -> Received:
    """Return a command with what an outsider's envelope may leave out."""
    envelope = received.envelope
    if envelope.id and envelope.type:
        return received
    envelope = replace(
        envelope,
        id=envelope.id or record_location(received),
        type=envelope.type or codec.type_name(command),
    )
    return replace(received, envelope=envelope)
