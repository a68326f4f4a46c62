"""The read models of executions: a struct of each one's rows, and its table.

Types and marks of a struct's fields describe the columns (`projections.columns`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from projections.columns import Merge, Parts, Stored
from projections.table import Table
from schemas.ids import AttemptRef, CatalogKey, EntityRef
from schemas.phases import (
    CacheStatus,
    ExecutionPhase,
    NodePhase,
    ReservationStatus,
    TaskPhase,
)
from schemas.sites import NodeKind
from schemas.values import Blob, Failure, TaskLog, Values

_ENTITY = ("project", "domain", "name", "version")
_Error = Annotated[Failure | None, Parts("error_", ("kind", "code"))]
_FirstTime = Annotated[datetime | None, Merge.FIRST]
_Seconds = Annotated[float | None, Stored.GENERATED]
_Key = Annotated[str, Stored.KEY]
_KeyOrNone = Annotated[str | None, Stored.KEY]


class ExecutionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution; `duration` is in seconds, `launch_entity` task or launch_plan.

    `recovers` is the stream of the execution that it recovers, `source` the name of the
    one that it came from: that of its parent, or the one it relaunches or recovers.
    """

    stream: _Key
    execution_project: _Key
    execution_domain: _Key
    execution_name: _Key
    phase: ExecutionPhase
    launch_plan: Annotated[EntityRef, Parts("launch_plan_", _ENTITY)]
    workflow: Annotated[EntityRef, Parts("workflow_", _ENTITY)]
    task: Annotated[EntityRef | None, Parts("task_", _ENTITY)]
    mode: int
    user: str
    cluster: str = "flightlog"
    state: int = 0
    spec: bytes
    definition: Blob
    inputs: Values
    user_inputs: Values
    outputs: Values | None = None
    error: _Error = None
    abort_cause: str | None = None
    abort_principal: str | None = None
    parent_stream: _KeyOrNone = None
    parent_node_id: _KeyOrNone = None
    parent_attempt: int | None = None
    recovers: _KeyOrNone = None
    source: str | None = None
    launch_entity: str
    max_parallelism: int
    duration: _Seconds = None
    created_at: datetime
    updated_at: datetime
    started_at: _FirstTime = None
    ended_at: datetime | None = None


EXECUTIONS = Table("executions", ExecutionRow, ("stream",))


class ExecutionTagRow(msgspec.Struct, frozen=True, kw_only=True):
    """A label of an execution; of a tag the key alone."""

    stream: _Key
    key: _Key
    value: _Key = ""


TAGS = Table("execution_tags", ExecutionTagRow, ("stream", "key", "value"))


class SignalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One signal; type and value are a serialized LiteralType and Literal."""

    stream: _Key
    signal_id: _Key
    node_id: str = ""
    type: bytes
    value: bytes | None = None
    principal: str = ""
    created_at: datetime
    updated_at: datetime


SIGNALS = Table("signals", SignalRow, ("stream", "signal_id"))


class DynamicWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """The workflow that the task of a dynamic node returned: see NodeExpanded."""

    workflow: EntityRef
    inside: Blob
    spec_uri: str


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One node execution; `attempt` is the current one, nodes are ordered by `number`.

    `is_parent`, `is_dynamic` and `is_array` are as clients see them (ref §1.5).
    `element` is the index of an element of an array.
    """

    stream: _Key
    node_id: _Key
    number: int
    phase: NodePhase
    spec_node_id: str
    kind: NodeKind
    node_name: str
    parent_id: _Key
    retry_group: str
    scope: str = ""
    attempt: int = 0
    is_parent: bool = False
    is_dynamic: bool = False
    is_array: bool = False
    element: Annotated[int | None, Stored.NONE_AS_NEGATIVE] = None
    dynamic_workflow: DynamicWorkflow | None = None
    cache_status: CacheStatus | None = None
    catalog_key: CatalogKey | None = None
    catalog_source: AttemptRef | None = None
    reservation_status: ReservationStatus | None = None
    duration: _Seconds = None
    target: EntityRef | None = None
    input_path: str = ""
    inputs: Values | None = None
    outputs: Values | None = None
    deck_uri: str = ""
    error: _Error = None
    child: str = ""
    chosen: str = ""
    created_at: datetime
    updated_at: datetime
    started_at: _FirstTime = None
    ended_at: datetime | None = None


NODES = Table(
    "node_executions", NodeRow, ("stream", "node_id"), keeps_repeated_phase=True
)


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an attempt's history."""

    reason: str
    occurred_at_us: int


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """One task execution: one attempt of a node's task.

    `phase_version` counts the dispatches of the attempt beyond the first: each has
    logs of its own. `reasons` is its history, line by line. The only attempt of an
    array has an `array_size`.
    """

    stream: _Key
    node_id: _Key
    retry_attempt: int
    phase: TaskPhase
    phase_version: int = 0
    task: Annotated[EntityRef, Parts("", _ENTITY)]
    task_type: str
    generated_name: str
    array_size: Annotated[int | None, Stored.NONE_AS_NEGATIVE] = None
    interruptible: bool
    runner: str = ""
    incarnation: str = ""
    outputs: Values | None = None
    deck_uri: str = ""
    logs: tuple[TaskLog, ...] = ()
    reasons: Annotated[tuple[Reason, ...], Stored.AS_JSON_LINES, Merge.APPENDED] = ()
    duration: _Seconds = None
    error: _Error = None
    created_at: datetime
    updated_at: datetime
    started_at: _FirstTime = None
    ended_at: datetime | None = None


TASKS = Table("task_executions", TaskRow, ("stream", "node_id", "retry_attempt"))


class ElementRow(msgspec.Struct, frozen=True, kw_only=True):
    """One element of an array: its node, and its latest attempt if it runs a task.

    Phases are those of a node and of an attempt. `child` is a launch plan's execution.
    """

    node_id: _Key
    element: int
    phase: NodePhase
    child: str
    cache_status: CacheStatus | None
    task_phase: TaskPhase | None
    retry_attempt: int | None
    generated_name: str | None
    logs: tuple[TaskLog, ...]


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event in plain text; `subject` is the node that it is about, if any."""

    stream: _Key
    sequence: int
    type: str
    occurred_at: datetime
    subject: str
    summary: str


JOURNAL = Table("journal", JournalRow, ("stream", "sequence"))


class CatalogRow(msgspec.Struct, frozen=True, kw_only=True):
    """Cached outputs under their key, and the attempt that made them."""

    project: _Key
    domain: _Key
    name: _Key
    version: _Key
    tag: _Key
    outputs: Values
    source: AttemptRef
    source_id: str
    created_at: datetime


CATALOG = Table(
    "catalog",
    CatalogRow,
    ("tag", "version", "name", "domain", "project"),
    newest=("created_at", "source_id"),
)


class CatalogDeletionRow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest outputs of a key, if the execution that made them is deleted.

    Older outputs don't take their place, in whatever order partitions are applied.
    """

    project: _Key
    domain: _Key
    name: _Key
    version: _Key
    tag: _Key
    source_id: str
    created_at: datetime


CATALOG_DELETIONS = Table(
    "catalog_deletions",
    CatalogDeletionRow,
    ("tag", "version", "name", "domain", "project"),
)


class CacheUseRow(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that took cached outputs of another one."""

    stream: _Key
    source_stream: _Key


CACHE_USES = Table("cache_uses", CacheUseRow, ("stream", "source_stream"))


class DeletionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A deleted execution, and the stream of the one that it recovered."""

    stream: _Key
    recovers: _KeyOrNone = None
    deleted_at: datetime


DELETIONS = Table("deletions", DeletionRow, ("stream",))


class PassedOverRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stream whose event of this sequence the read models can't hold, and why.

    That event and later ones aren't in the read models.
    """

    stream: _Key
    sequence: int
    error: str
    since: datetime


PASSED_OVER = Table("passed_over", PassedOverRow, ("stream",))


OutcomeKind = Literal["done", "rejected", "no_effect"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command that asked for a reply.

    `event_id` is the first event of one that is done; `reason` and `detail` say why one
    was rejected.
    """

    command_id: _Key
    kind: OutcomeKind
    event_id: str = ""
    reason: str = ""
    detail: str = ""


OUTCOMES = Table("outcomes", Outcome, ("command_id",))
