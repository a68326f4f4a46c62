"""Outcomes of commands that have no events: records on the events topic."""

from __future__ import annotations

import msgspec


class CommandRejected(msgspec.Struct, frozen=True, kw_only=True):
    """A command was rejected. It is a record of the events topic, but of no stream."""

    command_id: str
    command_type: str
    reason: str
    detail: str


class CommandHadNoEffect(msgspec.Struct, frozen=True, kw_only=True):
    """A command had nothing to change. It is a record, but of no stream."""

    command_id: str
    command_type: str
