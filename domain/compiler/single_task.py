"""A workflow around one task, for executions that launch a task (ref §2.4)."""

from __future__ import annotations

from collections.abc import Iterable

from flyteidl.core import (
    identifier_pb2,
    literals_pb2,
    tasks_pb2,
    types_pb2,
    workflow_pb2,
)

NAME_PREFIX = ".flytegen."
NODE_ID_LENGTH_MAX = 63
DEFAULT_RETRIES = 3
_MAP_COMMAND = "pyflyte-map-execute"


def single_task_workflow(task: tasks_pb2.TaskTemplate) -> workflow_pb2.WorkflowTemplate:
    """Return the workflow that runs one task.

    Inputs and outputs are the task's; retries are the task's too, or `DEFAULT_RETRIES`
    if it has none set. flytekit's map tasks run for each index: Flyte would run them
    once, and return one item for a list.
    """
    node_id = _node_id(task.id.name)
    node = workflow_pb2.Node(
        id=node_id,
        metadata=workflow_pb2.NodeMetadata(name=node_id, retries=_retries(task)),
        inputs=_promises(task.interface.inputs.variables, ""),
        task_node=workflow_pb2.TaskNode(reference_id=task.id),
    )
    bound = _bound_of_map(task)
    if bound is not None:
        array = workflow_pb2.ArrayNode(node=node, bound_inputs=bound)
        node.array_node.CopyFrom(array)
    return workflow_pb2.WorkflowTemplate(
        id=identifier_pb2.Identifier(
            resource_type=identifier_pb2.WORKFLOW,
            project=task.id.project,
            domain=task.id.domain,
            name=NAME_PREFIX + task.id.name,
            version=task.id.version,
        ),
        interface=task.interface,
        nodes=[node],
        outputs=_promises(task.interface.outputs.variables, node_id),
    )


def _node_id(task_name: str) -> str:
    tail = task_name[-NODE_ID_LENGTH_MAX:]
    # A name of punctuation only would leave an empty id, which can't run.
    return "".join(c for c in tail if c == "-" or c.isalnum()) or "n0"


def _bound_of_map(task: tasks_pb2.TaskTemplate) -> list[str] | None:
    """Return the inputs that each index of a map task gets; None for other tasks."""
    arguments = [*task.container.command, *task.container.args]
    if _MAP_COMMAND not in arguments:
        return None
    named = arguments[arguments.index("vars") + 1 :][:1] if "vars" in arguments else []
    return [name for text in named for name in text.split(",") if name]


def _retries(task: tasks_pb2.TaskTemplate) -> literals_pb2.RetryStrategy:
    if task.metadata.HasField("retries"):
        return task.metadata.retries
    return literals_pb2.RetryStrategy(retries=DEFAULT_RETRIES)


def _promises(names: Iterable[str], node_id: str) -> list[literals_pb2.Binding]:
    return [
        literals_pb2.Binding(
            var=name,
            binding=literals_pb2.BindingData(
                promise=types_pb2.OutputReference(node_id=node_id, var=name)
            ),
        )
        for name in sorted(names)
    ]
