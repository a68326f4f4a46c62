"""Executions, nodes and attempts: rows of read models as flyteidl's messages; pure."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import catalog_pb2
from flyteidl.event import event_pb2

from domain.graph import to_identifier
from gateway.translate.arrays import absolute, add_elements
from gateway.translate.identifiers import (
    ERROR_IN_LIST_BYTES_MAX,
    set_duration,
    set_timestamp,
    to_error,
    to_execution_id,
    to_node_id,
)
from projections.registry_rows import ExecutionStateRow
from projections.rows import (
    ElementRow,
    ExecutionRow,
    NodeRow,
    TaskRow,
)
from schemas.ids import AttemptRef, CatalogKey, EntityRef, ExecutionRef, execution_of
from schemas.values import Failure, Values

EVENT_VERSION = 1
# Flyte gives start nodes and branches no inputs (ref §4.3).
_WITHOUT_INPUTS = frozenset({"start", "branch"})
_ABORTS = frozenset({"ABORTING", "ABORTED"})

Closure = (
    execution_pb2.ExecutionClosure
    | node_execution_pb2.NodeExecutionClosure
    | task_execution_pb2.TaskExecutionClosure
)


def to_execution(
    row: ExecutionRow,
    *,
    in_list: bool = False,
    state: ExecutionStateRow | None = None,
) -> execution_pb2.Execution:
    """Return an execution; in a list without inputs, and with its error cut.

    `state` is what clients have set since the execution was created.
    """
    execution = execution_pb2.Execution(
        id=to_execution_id(execution_of(row.stream)),
        closure=execution_pb2.ExecutionClosure(
            phase=row.phase, workflow_id=to_identifier(row.workflow)
        ),
    )
    spec, closure = execution.spec, execution.closure
    spec.ParseFromString(row.spec)
    system = spec.metadata.system_metadata
    system.execution_cluster = row.cluster
    system.namespace = f"{row.execution_project}-{row.execution_domain}"
    if in_list:
        spec.ClearField("inputs")
    closure.notifications.extend(spec.notifications.notifications)
    _set_times(closure, row)
    closure.state_change_details.CopyFrom(_state_change(row, state))
    if row.abort_cause is not None and row.phase in _ABORTS:
        closure.abort_metadata.cause = row.abort_cause
        closure.abort_metadata.principal = row.abort_principal or ""
    elif row.error is not None:
        bytes_max = ERROR_IN_LIST_BYTES_MAX if in_list else None
        closure.error.CopyFrom(to_error(row.error, bytes_max))
    elif row.outputs is not None and row.outputs.uri:
        closure.outputs.uri = row.outputs.uri
    return execution


def _state_change(
    row: ExecutionRow, changed: ExecutionStateRow | None
) -> execution_pb2.ExecutionStateChangeDetails:
    number = changed.state if changed else row.state
    details = execution_pb2.ExecutionStateChangeDetails(
        state=execution_pb2.ExecutionState.Name(number),
        principal=changed.principal if changed else row.user,
    )
    moment = changed.updated_at if changed else row.created_at
    set_timestamp(details.occurred_at, moment)
    return details


def _set_times(closure: Closure, row: ExecutionRow | NodeRow | TaskRow) -> None:
    set_timestamp(closure.created_at, row.created_at)
    set_timestamp(closure.updated_at, row.updated_at)
    set_timestamp(closure.started_at, row.started_at)
    set_duration(closure.duration, row.started_at, row.ended_at)


def _set_result(
    closure: (
        node_execution_pb2.NodeExecutionClosure
        | task_execution_pb2.TaskExecutionClosure
    ),
    outputs: Values | None,
    failure: Failure | None,
    error_bytes_max: int | None = None,
) -> None:
    if failure is not None:
        closure.error.CopyFrom(to_error(failure, error_bytes_max))
    elif outputs is not None and outputs.uri:
        closure.output_uri = outputs.uri


def to_node_execution(
    row: NodeRow, *, root: str, in_list: bool = False
) -> node_execution_pb2.NodeExecution:
    """Return a node execution; `root` is the blob store's root.

    Clients rely on which nodes are parents, arrays and launch plans (ref §1.5).
    """
    node = node_execution_pb2.NodeExecution(
        id=to_node_id(execution_of(row.stream), row.node_id),
        metadata=node_execution_pb2.NodeExecutionMetaData(
            spec_node_id=row.spec_node_id,
            retry_group=row.retry_group,
            is_parent_node=row.is_parent and not row.is_array,
            is_dynamic=row.is_dynamic,
            is_array=row.is_array,
        ),
        closure=node_execution_pb2.NodeExecutionClosure(
            phase=row.phase, deck_uri=row.deck_uri
        ),
    )
    if row.kind not in _WITHOUT_INPUTS:
        node.input_uri = blob_uri(root, row.input_path)
    closure = node.closure
    _set_times(closure, row)
    bytes_max = ERROR_IN_LIST_BYTES_MAX if in_list else None
    _set_result(closure, row.outputs, row.error, bytes_max)
    if row.dynamic_workflow is not None:
        closure.dynamic_job_spec_uri = row.dynamic_workflow.spec_uri
    if row.catalog_key is not None:
        metadata = node_execution_pb2.TaskNodeMetadata(
            cache_status=f"CACHE_{row.cache_status}",
            catalog_key=_catalog_metadata(row.catalog_key, row.catalog_source),
        )
        closure.task_node_metadata.CopyFrom(metadata)
    if row.child:
        child = to_execution_id(ExecutionRef.parse(row.child))
        closure.workflow_node_metadata.executionId.CopyFrom(child)
    return node


def _catalog_metadata(
    key: CatalogKey, source: AttemptRef | None
) -> catalog_pb2.CatalogMetadata:
    """Return a key of the catalog, and the attempt that computed what it holds."""
    data_set = EntityRef(
        kind="DATASET",
        project=key.project,
        domain=key.domain,
        name=key.name,
        version=key.version,
    )
    metadata = catalog_pb2.CatalogMetadata(
        dataset_id=to_identifier(data_set),
        artifact_tag=catalog_pb2.CatalogArtifactTag(name=key.tag),
    )
    if source is not None:
        execution, node = source.execution, source.node_id
        attempt = metadata.source_task_execution
        attempt.task_id.CopyFrom(to_identifier(source.task))
        attempt.node_execution_id.CopyFrom(to_node_id(execution, node))
        attempt.retry_attempt = source.attempt
        metadata.artifact_tag.artifact_id = (
            f"{execution.text()}/{node}/{source.attempt}"
        )
    return metadata


def to_task_execution(
    row: TaskRow,
    *,
    input_uri: str,
    elements: Sequence[ElementRow] = (),
    link_base: str = "",
) -> task_execution_pb2.TaskExecution:
    """Return a task execution: one attempt, with its history line by line.

    An array's attempt also describes each of its `elements`. Links to the engine's own
    logs begin with `link_base`.
    """
    attempt = task_execution_pb2.TaskExecution(
        input_uri=input_uri,
        closure=task_execution_pb2.TaskExecutionClosure(
            phase=row.phase,
            task_type=row.task_type,
            event_version=EVENT_VERSION,
            metadata=event_pb2.TaskExecutionMetadata(
                generated_name=row.generated_name,
                instance_class="INTERRUPTIBLE" if row.interruptible else "DEFAULT",
            ),
        ),
    )
    attempt.id.task_id.CopyFrom(to_identifier(row.task))
    node_id = to_node_id(execution_of(row.stream), row.node_id)
    attempt.id.node_execution_id.CopyFrom(node_id)
    attempt.id.retry_attempt = row.retry_attempt
    closure = attempt.closure
    if row.array_size is not None:
        add_elements(closure.metadata, row, elements, link_base)
    _set_times(closure, row)
    _set_result(closure, row.outputs, row.error)
    for log in row.logs:
        closure.logs.add(name=log.name, uri=absolute(log.uri, link_base))
    for line in row.reasons:
        reason = closure.reasons.add(message=line.reason)
        reason.occurred_at.FromMicroseconds(line.occurred_at_us)
        closure.reason = line.reason
    return attempt


def blob_uri(root: str, path: str) -> str:
    """Return the address of a blob by its path below the store's root."""
    if not path or path.startswith("/") or "://" in path:
        return path
    return f"{root}/{path}"
