"""The one table of messages: name and version ↔ class ↔ parsed Avro schema.

A class has its newest version's fields. An older version lacks some of them, and is
read with their defaults: whoever adds a field gives it one, and a new version here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.messages import (
    commands,
    dead_letters,
    dispatches,
    execution_events,
    node_events,
    outcomes,
    registry_events,
    snapshots,
)

AVRO = Path(__file__).parents[1] / "avro"

CLASSES: tuple[type[Any], ...] = (
    *get_args(commands.ExecutionCommand),
    commands.Heartbeat,
    *get_args(execution_events.ExecutionEvent),
    outcomes.CommandRejected,
    outcomes.CommandHadNoEffect,
    *get_args(dispatches.DispatchMessage),
    dispatches.AbortTask,
    *get_args(registry_events.RegistryEvent),
    *get_args(dead_letters.Letter),
    *get_args(snapshots.Snapshot),
)


VERSIONS: dict[type[Any], int] = {
    commands.CreateExecution: 2,
    commands.ReportInputsResolved: 2,
    commands.ReportTaskFailed: 2,
    commands.ReportTaskStarted: 2,
    dispatches.LookUpCache: 2,
    dispatches.ResolveInputs: 2,
    dispatches.RunTask: 2,
    node_events.CacheLookupRequested: 2,
    node_events.ChildRequested: 2,
    execution_events.ExecutionCreated: 2,
    node_events.NodeQueued: 2,
    node_events.NodeRequeued: 2,
    node_events.NodeResolving: 2,
    node_events.NodeRetryScheduled: 2,
    node_events.NodeSkipped: 2,
    node_events.TaskFailed: 2,
    node_events.TaskQueued: 2,
    node_events.TaskStarted: 2,
    registry_events.TaskRegistered: 2,
    registry_events.WorkflowRegistered: 2,
}
"""The newest version of each message that has more than one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message at one version: its class, schema and eight-byte fingerprint."""

    name: str
    version: int
    cls: type[Any]
    schema: Any
    fingerprint: bytes


def newest(cls: type[Any]) -> int:
    """Return the version in which a message is written today."""
    return VERSIONS.get(cls, 1)


def namespace(version: int) -> str:
    """Return the namespace of the messages of a version."""
    return f"flightlog.v{version}"


def schema_path(cls: type[Any], version: int) -> Path:
    """Return where a message's released schema lies."""
    return AVRO / f"{cls.__name__}.v{version}.avsc"


@cache
def entries() -> tuple[Entry, ...]:
    """Return every message; raises FileNotFoundError for one without a schema."""
    return tuple(
        _entry(cls, version) for cls in CLASSES for version in range(1, newest(cls) + 1)
    )


@cache
def by_class() -> dict[type[Any], Entry]:
    """Return the newest versions by class."""
    return {entry.cls: entry for entry in entries()}


@cache
def by_fingerprint() -> dict[bytes, Entry]:
    """Return the table by fingerprint."""
    return {entry.fingerprint: entry for entry in entries()}


def _entry(cls: type[Any], version: int) -> Entry:
    raw = json.loads(schema_path(cls, version).read_text())
    digest = fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO")
    return Entry(
        name=f"{namespace(version)}.{cls.__name__}",
        version=version,
        cls=cls,
        # With fastavro's hint in it: without, it is parsed anew for each message.
        schema=parse_schema(raw),
        fingerprint=bytes.fromhex(digest),
    )
