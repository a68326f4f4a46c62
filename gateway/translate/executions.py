"""Executions, nodes and attempts: the views' rows as flyteidl's messages; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import catalog_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2

from gateway.translate.arrays import add_elements
from gateway.translate.identifiers import (
    ERROR_IN_LIST_BYTES_MAX,
    error,
    execution_id,
    identifier,
    node_id,
    span,
    stamp,
)
from projections.rows import (
    ElementRow,
    ExecutionRow,
    ExecutionStateRow,
    NodeRow,
    TaskRow,
)
from schemas.ids import CatalogKey, EntityRef, ExecutionRef, execution_of
from schemas.values import Failure, Values

EVENT_VERSION = 1
_WORKFLOW = core_execution_pb2.WorkflowExecution.Phase
_NODE = core_execution_pb2.NodeExecution.Phase
_TASK = core_execution_pb2.TaskExecution.Phase
_CACHE = catalog_pb2.CatalogCacheStatus
# What begins a workflow or chooses an arm has no inputs to Flyte (ref §4.3).
_WITHOUT_INPUTS = frozenset({"start", "branch"})
_ABORTS = frozenset({"ABORTING", "ABORTED"})


def execution(
    row: ExecutionRow,
    *,
    in_list: bool = False,
    state: ExecutionStateRow | None = None,
) -> Any:
    """Return an admin.Execution; a list shows neither inputs nor whole errors.

    `state` is what clients made of it since it was created.
    """
    found = execution_pb2.Execution()
    found.id.project = row.execution_project
    found.id.domain = row.execution_domain
    found.id.name = row.execution_name
    found.spec.ParseFromString(row.spec)
    system = found.spec.metadata.system_metadata
    system.execution_cluster = row.cluster
    system.namespace = f"{row.execution_project}-{row.execution_domain}"
    if in_list:
        found.spec.ClearField("inputs")
    closure = found.closure
    closure.phase = _WORKFLOW.Value(row.phase)
    closure.workflow_id.CopyFrom(identifier(row.workflow))
    closure.notifications.extend(found.spec.notifications.notifications)
    _times(closure, row)
    _state(closure.state_change_details, row, state)
    if row.abort_cause is not None and row.phase in _ABORTS:
        closure.abort_metadata.cause = row.abort_cause
        closure.abort_metadata.principal = row.abort_principal or ""
    elif row.error is not None:
        bytes_max = ERROR_IN_LIST_BYTES_MAX if in_list else None
        closure.error.CopyFrom(error(row.error, bytes_max))
    elif row.outputs is not None and row.outputs.uri:
        closure.outputs.uri = row.outputs.uri
    return found


def _state(details: Any, row: ExecutionRow, changed: ExecutionStateRow | None) -> None:
    details.state = changed.state if changed else row.state
    details.principal = changed.principal if changed else row.user
    stamp(details.occurred_at, changed.updated_at if changed else row.created_at)


def _times(closure: Any, row: ExecutionRow | NodeRow | TaskRow) -> None:
    stamp(closure.created_at, row.created_at)
    stamp(closure.updated_at, row.updated_at)
    stamp(closure.started_at, row.started_at)
    span(closure.duration, row.started_at, row.ended_at)


def _result(
    closure: Any, outputs: Values | None, failure: Failure | None, cut: int | None
) -> None:
    if failure is not None:
        closure.error.CopyFrom(error(failure, cut))
    elif outputs is not None and outputs.uri:
        closure.output_uri = outputs.uri


def node_execution(row: NodeRow, *, root: str, in_list: bool = False) -> Any:
    """Return an admin.NodeExecution; `root` is where blobs lie.

    Clients build on what is a parent, an array or a child's node (ref §1.5).
    """
    found = node_execution_pb2.NodeExecution()
    found.id.CopyFrom(node_id(execution_of(row.stream), row.node_id))
    if row.kind not in _WITHOUT_INPUTS:
        found.input_uri = blob_uri(root, row.input_path)
    found.metadata.spec_node_id = row.spec_node_id
    found.metadata.retry_group = row.retry_group
    found.metadata.is_parent_node = row.is_parent and not row.is_array
    found.metadata.is_dynamic = row.is_dynamic
    found.metadata.is_array = row.is_array
    closure = found.closure
    closure.phase = _NODE.Value(row.phase)
    closure.deck_uri = row.deck_uri
    _times(closure, row)
    bytes_max = ERROR_IN_LIST_BYTES_MAX if in_list else None
    _result(closure, row.outputs, row.error, bytes_max)
    if row.dynamic_workflow is not None:
        closure.dynamic_job_spec_uri = row.dynamic_workflow.spec_uri
    if row.catalog_key is not None:
        _cached(closure.task_node_metadata, row, row.catalog_key)
    if row.child:
        project, domain, name = row.child.split("/", 2)
        child = ExecutionRef(project=project, domain=domain, name=name)
        closure.workflow_node_metadata.executionId.CopyFrom(execution_id(child))
    return found


def _cached(metadata: Any, row: NodeRow, key: CatalogKey) -> None:
    metadata.cache_status = _CACHE.Value(f"CACHE_{row.cache_status}")
    found = metadata.catalog_key
    data_set = identifier(
        EntityRef(
            kind="DATASET",
            project=key.project,
            domain=key.domain,
            name=key.name,
            version=key.version,
        )
    )
    found.dataset_id.CopyFrom(data_set)
    found.artifact_tag.name = key.tag
    source = row.catalog_source
    if source is not None:
        made_by = found.source_task_execution
        made_by.task_id.CopyFrom(identifier(source.task))
        made_by.node_execution_id.CopyFrom(node_id(source.execution, source.node_id))
        made_by.retry_attempt = source.attempt
        found.artifact_tag.artifact_id = (
            f"{source.execution.text()}/{source.node_id}/{source.attempt}"
        )


def task_execution(
    row: TaskRow, *, input_uri: str, elements: Sequence[ElementRow] = ()
) -> Any:
    """Return an admin.TaskExecution: one attempt, with its history line by line.

    An array's attempt also tells of each of its `elements`.
    """
    found = task_execution_pb2.TaskExecution(input_uri=input_uri)
    found.id.task_id.CopyFrom(identifier(row.task))
    at = node_id(execution_of(row.stream), row.node_id)
    found.id.node_execution_id.CopyFrom(at)
    found.id.retry_attempt = row.retry_attempt
    closure = found.closure
    closure.phase = _TASK.Value(row.phase)
    closure.task_type = row.task_type
    closure.event_version = EVENT_VERSION
    closure.metadata.generated_name = row.generated_name
    closure.metadata.instance_class = int(row.interruptible)
    if row.array_size >= 0:
        add_elements(closure.metadata, row, elements)
    _times(closure, row)
    _result(closure, row.outputs, row.error, None)
    for log in row.logs:
        closure.logs.add(name=log.name, uri=log.uri)
    for line in row.reasons:
        reason = closure.reasons.add(message=line.reason)
        reason.occurred_at.FromMicroseconds(line.occurred_at_us)
        closure.reason = line.reason
    return found


def blob_uri(root: str, path: str) -> str:
    """Return the address of a blob by its path below the store's root."""
    if not path or path.startswith("/") or "://" in path:
        return path
    return f"{root}/{path}"
