"""The views' rows as values: what the door translates and hydration reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from schemas.ids import EntityRef
from schemas.values import Blob, Failure, TaskLog, Values


def unpack(data: Any, kind: type[Any]) -> Any:
    """Return the value in a packed column; None for NULL."""
    return None if data is None else msgspec.msgpack.decode(bytes(data), type=kind)


class ExecutionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution."""

    stream: str
    execution_project: str
    execution_domain: str
    execution_name: str
    phase: str
    launch_plan: EntityRef
    workflow: EntityRef
    task: EntityRef | None
    mode: int
    user: str
    cluster: str
    state: int
    spec: bytes
    definition: Blob
    inputs: Values
    user_inputs: Values
    outputs: Values | None
    error: Failure | None
    abort_cause: str | None
    abort_principal: str | None
    parent_stream: str | None
    parent_node_id: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node execution."""

    stream: str
    node_id: str
    phase: str
    spec_node_id: str
    kind: str
    node_name: str
    parent_id: str
    retry_group: str
    target: EntityRef | None
    input_path: str
    inputs: Values | None
    outputs: Values | None
    deck_uri: str
    error: Failure | None
    child: str
    chosen: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """One task execution: one attempt of a node's task."""

    stream: str
    node_id: str
    retry_attempt: int
    phase: str
    phase_version: int
    task: EntityRef
    task_type: str
    generated_name: str
    interruptible: bool
    outputs: Values | None
    deck_uri: str
    logs: tuple[TaskLog, ...]
    error: Failure | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


_PACKED: dict[str, Any] = {
    "launch_plan": EntityRef,
    "workflow": EntityRef,
    "task": EntityRef,
    "target": EntityRef,
    "definition": Blob,
    "inputs": Values,
    "user_inputs": Values,
    "outputs": Values,
    "error": Failure,
    "logs": tuple[TaskLog, ...],
}


def row_of(kind: type[Any], row: Mapping[str, Any]) -> Any:
    """Return a view's row as its value."""
    fields: dict[str, Any] = {}
    for name in kind.__struct_fields__:
        value = row[name]
        if name in _PACKED:
            value = unpack(value, _PACKED[name])
        elif isinstance(value, memoryview):
            value = bytes(value)
        fields[name] = value
    if kind is TaskRow and fields["logs"] is None:
        fields["logs"] = ()
    return kind(**fields)
