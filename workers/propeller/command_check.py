"""Which commands may be sent to which streams; pure."""

from __future__ import annotations

from msgspec.structs import replace

from infra.eventlog.contract import Received
from schemas.messages.commands import Command
from workers.dead_letters import record_location
from workers.propeller.kinds.contract import INTERNAL_COMMANDS
from workers.propeller.stream_kinds import StreamKinds


def violation(message: object, key: str, stream: str, kinds: StreamKinds) -> str | None:
    """Return why a message on the commands topic isn't handled; None if it is."""
    name = type(message).__name__
    if not isinstance(message, Command):
        return f"Expected a command, but {name} is none"
    if type(message) in INTERNAL_COMMANDS:
        return f"Expected a command that may be sent, but {name} is the engine's own"
    if not key:
        return "Expected the command's stream as its key, but it has no key"
    if stream != key:
        return f"Expected the key '{key}' to be the stream, but that is '{stream}'"
    kind = kinds.find(stream)
    if kind is None:
        names = kinds.names()
        return f"Expected a stream of a known kind ({names}), but it is '{stream}'"
    if type(message) not in kind.commands:
        return f"Expected a command to a stream of {kind.prefix}/…, but {name} is none"
    target = kind.target(message)
    if target is not None and target != stream:
        return f"Expected the key '{target}', but it is '{key}'"
    return None


def with_envelope_defaults(
    received: Received, command: Command, kinds: StreamKinds
) -> Received:
    """Return a command with the id and type that its sender may leave out."""
    envelope = received.envelope
    if envelope.id and envelope.type:
        return received
    envelope = replace(
        envelope,
        id=envelope.id or record_location(received),
        type=envelope.type or kinds.messages.type_name(command),
    )
    return replace(received, envelope=envelope)
