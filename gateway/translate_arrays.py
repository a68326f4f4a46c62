"""Elements of an array as flyteidl's external resources (ref §5.7, §6.1); pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.core import execution_pb2

from gateway.translate import execution_id
from projections.rows import ElementRow, TaskRow
from schemas.ids import ExecutionRef

PLUGIN = "k8s-array"
_TASK = execution_pb2.TaskExecution.Phase
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

    Elements that have not begun are there too, without a phase.
    """
    metadata.plugin_identifier = PLUGIN
    known = {element.element: element for element in elements}
    for index in range(row.array_size):
        resource = metadata.external_resources.add(index=index)
        element = known.get(index)
        if element is None:
            continue
        resource.external_id = element.generated_name or element.child
        resource.external_id = resource.external_id or element.node_id
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
