"""Elements of an array as flyteidl's external resources (ref §5.7, §6.1); pure."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.event import event_pb2

from gateway.translate.identifiers import to_execution_id
from projections.rows import ElementRow, TaskRow
from schemas.ids import ExecutionRef, element_id, execution_of, generated_name

PLUGIN = "k8s-array"
# The phase of an element's node as one of an attempt: it may have no attempt.
_ATTEMPT_PHASES = {
    "QUEUED": "QUEUED",
    "RUNNING": "RUNNING",
    "SUCCEEDED": "SUCCEEDED",
    "RECOVERED": "SUCCEEDED",
    "ABORTED": "ABORTED",
    "SKIPPED": "ABORTED",
}
_ENDED = frozenset({"SUCCEEDED", "FAILED", "ABORTED"})


def add_elements(
    metadata: event_pb2.TaskExecutionMetadata,
    row: TaskRow,
    elements: Sequence[ElementRow],
    link_base: str = "",
) -> None:
    """Add a resource for each element of an array's attempt.

    Elements that have not begun are included, without a phase. Each is named as its
    latest attempt would be, even where there was none because of a cache hit.
    """
    metadata.plugin_identifier = PLUGIN
    known = {element.element: element for element in elements}
    execution = execution_of(row.stream).name
    for index in range(row.array_size or 0):
        node_id = element_id(row.node_id, row.retry_attempt, index)
        name = generated_name(execution, node_id, 0)
        element = known.get(index)
        if element is None:
            metadata.external_resources.add(index=index, external_id=name)
        else:
            metadata.external_resources.append(
                _resource(index, name, element, link_base)
            )


def _resource(
    index: int, name: str, element: ElementRow, link_base: str
) -> event_pb2.ExternalResourceInfo:
    resource = event_pb2.ExternalResourceInfo(
        index=index,
        external_id=element.generated_name or element.child or name,
        retry_attempt=element.retry_attempt or 0,
        phase=_phase(element),
        cache_status=f"CACHE_{element.cache_status}" if element.cache_status else None,
    )
    if element.child:
        child = to_execution_id(ExecutionRef.parse(element.child))
        resource.workflow_node_metadata.execution_id.CopyFrom(child)
    for log in element.logs:
        resource.logs.add(name=f"{log.name}-{index}", uri=absolute(log.uri, link_base))
    return resource


def absolute(uri: str, link_base: str) -> str:
    """Return a link with the gateway's URL, if it is a path of the gateway's."""
    return f"{link_base}{uri}" if uri.startswith("/") else uri


def _phase(element: ElementRow) -> str:
    node = _ATTEMPT_PHASES.get(element.phase, "FAILED")
    if node in _ENDED or element.task_phase is None:
        return node
    return element.task_phase
