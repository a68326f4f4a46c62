"""Elements of an array as flyteidl's external resources (ref §5.7, §6.1); pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.core import catalog_pb2, execution_pb2

from gateway.translate.identifiers import execution_id
from projections.rows import ElementRow, TaskRow
from schemas.ids import ExecutionRef, element_id, execution_of, generated_name

PLUGIN = "k8s-array"
_TASK = execution_pb2.TaskExecution.Phase
_CACHE = catalog_pb2.CatalogCacheStatus
# What the node of an element says where it has no attempt: it runs a launch plan.
_OF_NODE = {
    "QUEUED": "QUEUED",
    "RUNNING": "RUNNING",
    "SUCCEEDED": "SUCCEEDED",
    "RECOVERED": "SUCCEEDED",
    "ABORTED": "ABORTED",
    "SKIPPED": "ABORTED",
}
_ENDED = frozenset({"SUCCEEDED", "FAILED", "ABORTED"})


def add_elements(metadata: Any, row: TaskRow, elements: Sequence[ElementRow]) -> None:
    """Fill in an event.TaskExecutionMetadata for an array's attempt.

    Elements that have not begun are there too, without a phase. The name of each is
    that of its latest attempt, also where there was none: outputs were kept already.
    """
    metadata.plugin_identifier = PLUGIN
    name = execution_of(row.stream).name
    known = {element.element: element for element in elements}
    for index in range(row.array_size):
        resource = metadata.external_resources.add(index=index)
        element = known.get(index)
        at = element_id(row.node_id, row.retry_attempt, index)
        resource.external_id = generated_name(name, at, 0)
        if element is None:
            continue
        known_as = element.generated_name or element.child
        resource.external_id = known_as or resource.external_id
        if element.cache_status is not None:
            resource.cache_status = _CACHE.Value(f"CACHE_{element.cache_status}")
        resource.retry_attempt = element.retry_attempt or 0
        resource.phase = _TASK.Value(_phase(element))
        if element.child:
            project, domain, name = element.child.split("/", 2)
            child = ExecutionRef(project=project, domain=domain, name=name)
            shown = resource.workflow_node_metadata.execution_id
            shown.CopyFrom(execution_id(child))
        for log in element.logs:
            resource.logs.add(name=f"{log.name}-{index}", uri=log.uri)


def _phase(element: ElementRow) -> str:
    node = _OF_NODE.get(element.phase, "FAILED")
    if node in _ENDED or element.task_phase is None:
        return node
    return element.task_phase
