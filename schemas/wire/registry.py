"""The table of messages: name and version ↔ class ↔ parsed Avro schema.

A class has its newest version's fields. An older version lacks some of them, and is
read with their defaults: a new field needs a default, and a new version here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import get_args

import msgspec
from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.json_types import JsonObject
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

CLASSES: tuple[type[msgspec.Struct], ...] = (
    *get_args(commands.ExecutionCommand),
    commands.Heartbeat,
    commands.Tick,
    *get_args(execution_events.ExecutionEvent),
    outcomes.CommandRejected,
    outcomes.CommandHadNoEffect,
    *get_args(dispatches.DispatchMessage),
    dispatches.AbortTask,
    *get_args(registry_events.RegistryEvent),
    *get_args(dead_letters.DeadLetterMessage),
    *get_args(snapshots.Snapshot),
)


VERSIONS: dict[type[msgspec.Struct], int] = {
    commands.CreateExecution: 2,
    commands.ReportInputsResolved: 2,
    commands.ReportTaskFailed: 2,
    commands.ReportTaskStarted: 2,
    dead_letters.DeadLetter: 2,
    dispatches.AbortTask: 2,
    dispatches.GatherOutputs: 2,
    dispatches.LookUpCache: 2,
    dispatches.ResolveInputs: 3,
    dispatches.RunTask: 3,
    node_events.CacheLookupRequested: 2,
    node_events.ChildRequested: 2,
    execution_events.ExecutionCreated: 3,
    node_events.NodeQueued: 2,
    node_events.NodeRequeued: 2,
    node_events.NodeResolving: 2,
    node_events.NodeRetryScheduled: 2,
    node_events.NodeSkipped: 2,
    node_events.TaskFailed: 2,
    node_events.TaskQueued: 2,
    node_events.TaskStarted: 3,
    registry_events.TaskRegistered: 2,
    registry_events.WorkflowRegistered: 2,
    snapshots.StreamHead: 2,
}
"""The newest version of each message that has more than one."""

LEVELS: dict[tuple[type[msgspec.Struct], int], int] = {
    (dead_letters.DeadLetter, 2): 2,
    (execution_events.ExecutionCreated, 3): 1,
    (commands.ReportLease, 1): 2,
    (commands.Tick, 1): 2,
    (dispatches.AbortTask, 2): 2,
    (dispatches.GatherOutputs, 2): 2,
    (dispatches.ResolveInputs, 3): 2,
    (dispatches.RunTask, 3): 2,
    (snapshots.StreamHead, 2): 2,
    (node_events.TaskStarted, 3): 2,
}
"""The format level of each version that isn't of level 0."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message at one version: its class, schema, fingerprint and format level."""

    name: str
    version: int
    cls: type[msgspec.Struct]
    schema: JsonObject
    fingerprint: bytes
    level: int = 0


@dataclass(frozen=True, eq=False)
class MessageSet:
    """Messages, and the folder with a schema for each of their versions.

    `versions` holds the newest version of each message that has more than one, `levels`
    the format level of each version that isn't of level 0.
    """

    classes: tuple[type[msgspec.Struct], ...]
    folder: Path
    versions: Mapping[type[msgspec.Struct], int] = field(default_factory=dict)
    levels: Mapping[tuple[type[msgspec.Struct], int], int] = field(default_factory=dict)

    def newest(self, cls: type[msgspec.Struct]) -> int:
        """Return the version in which a message is written today."""
        return self.versions.get(cls, 1)

    def schema_path(self, cls: type[msgspec.Struct], version: int) -> Path:
        """Return the file of a message's released schema."""
        return self.folder / f"{cls.__name__}.v{version}.avsc"

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Every version; raises FileNotFoundError for one without a schema.

        Parsing them is a good part of the start of a process: it is done once.
        """
        return tuple(
            _entry(
                cls,
                version,
                self.schema_path(cls, version),
                self.levels.get((cls, version), 0),
            )
            for cls in self.classes
            for version in range(1, self.newest(cls) + 1)
        )


ENGINE = MessageSet(CLASSES, AVRO, VERSIONS, LEVELS)
"""The messages of the engine."""


def namespace(version: int) -> str:
    """Return the namespace of the messages of a version."""
    return f"flightlog.v{version}"


def _entry(cls: type[msgspec.Struct], version: int, path: Path, level: int) -> Entry:
    raw = json.loads(path.read_text())
    digest = fingerprint(to_parsing_canonical_form(raw), "CRC-64-AVRO")
    return Entry(
        name=f"{namespace(version)}.{cls.__name__}",
        version=version,
        cls=cls,
        # Parsed once: a schema without fastavro's hint is parsed for each message.
        schema=parse_schema(raw),
        fingerprint=bytes.fromhex(digest),
        level=level,
    )
