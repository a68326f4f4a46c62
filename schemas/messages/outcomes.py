"""What became of commands without events: records on the events topic."""

from __future__ import annotations

import msgspec


class CommandRejected(msgspec.Struct, frozen=True, kw_only=True):
    """A command was refused. A record on the events topic, no event of a stream."""

    command_id: str
    command_type: str
    reason: str
    detail: str


class CommandHadNoEffect(msgspec.Struct, frozen=True, kw_only=True):
    """A command found its wish fulfilled already. A record, no event of a stream."""

    command_id: str
    command_type: str
