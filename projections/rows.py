"""The views' rows as values: what the door translates and hydration reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from schemas.ids import AttemptRef, CatalogKey, EntityRef
from schemas.values import Blob, Failure, TaskLog, Values


def unpack(data: Any, kind: type[Any]) -> Any:
    """Return the value in a packed column; None for NULL."""
    return None if data is None else msgspec.msgpack.decode(bytes(data), type=kind)


class ExecutionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution; `duration` is in seconds, `launch_entity` task or launch_plan."""

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
    parent_attempt: int | None
    launch_entity: str
    max_parallelism: int
    duration: float | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class ExecutionStateRow(msgspec.Struct, frozen=True, kw_only=True):
    """What clients made of an execution: archived (1), or active (0) again."""

    stream: str
    state: int
    principal: str
    updated_at: datetime


class SignalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One signal; type and value are a serialized LiteralType and Literal."""

    stream: str
    signal_id: str
    node_id: str
    type: bytes
    value: bytes | None
    principal: str
    created_at: datetime
    updated_at: datetime


class DynamicWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """What the task of a dynamic node made: see NodeExpanded."""

    workflow: EntityRef
    inside: Blob
    spec_uri: str


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node execution; `attempt` is the current one, `number` orders them.

    `is_parent`, `is_dynamic` and `is_array` are what clients are told (ref §1.5).
    """

    stream: str
    node_id: str
    number: int
    phase: str
    spec_node_id: str
    kind: str
    node_name: str
    parent_id: str
    retry_group: str
    scope: str
    attempt: int
    is_parent: bool
    is_dynamic: bool
    is_array: bool
    element: int = -1
    dynamic_workflow: DynamicWorkflow | None = None
    cache_status: str | None
    catalog_key: CatalogKey | None
    catalog_source: AttemptRef | None
    reservation_status: str | None
    duration: float | None
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


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an attempt's history."""

    reason: str
    occurred_at_us: int


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """One task execution: one attempt of a node's task.

    `phase_version` counts the dispatches of the attempt beyond the first: each has
    logs of its own. `reasons` tells its history, line by line. The only attempt of an
    array has an `array_size`.
    """

    stream: str
    node_id: str
    retry_attempt: int
    phase: str
    phase_version: int
    task: EntityRef
    task_type: str
    generated_name: str
    array_size: int = -1
    interruptible: bool
    runner: str
    incarnation: str
    outputs: Values | None
    deck_uri: str
    logs: tuple[TaskLog, ...]
    reasons: tuple[Reason, ...]
    duration: float | None
    error: Failure | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class ElementRow(msgspec.Struct, frozen=True, kw_only=True):
    """One element of an array: its node, and its latest attempt if it runs a task.

    Phases are those of a node and of an attempt. `child` is a launch plan's execution.
    """

    node_id: str
    element: int
    phase: str
    child: str
    cache_status: str | None
    task_phase: str | None
    retry_attempt: int | None
    generated_name: str | None
    logs: tuple[TaskLog, ...]


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event as people read it; `subject` is the node that it speaks of, if any."""

    stream: str
    sequence: int
    type: str
    occurred_at: datetime
    subject: str
    summary: str


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
    "catalog_key": CatalogKey,
    "catalog_source": AttemptRef,
    "dynamic_workflow": DynamicWorkflow,
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
    if "logs" in fields:
        fields["logs"] = fields["logs"] or ()
    if kind is TaskRow:
        lines = fields["reasons"].split("\n")[:-1]
        fields["reasons"] = tuple(msgspec.json.decode(n, type=Reason) for n in lines)
    return kind(**fields)
