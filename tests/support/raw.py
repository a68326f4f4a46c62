"""Workflows registered as raw protobuf, and executions of them: no flytekit code."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from flyteidl.admin import execution_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2
from flyteidl.core import identifier_pb2, types_pb2
from flyteidl.core import workflow_pb2 as core_workflow_pb2

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"
INT = types_pb2.LiteralType(simple=types_pb2.INTEGER)
LIST = types_pb2.LiteralType(collection_type=INT)
_PHASE = core_execution_pb2.WorkflowExecution.Phase
_DONE = {_PHASE.SUCCEEDED, _PHASE.FAILED, _PHASE.ABORTED, _PHASE.TIMED_OUT}


def _id(kind: int, name: str) -> Any:
    return identifier_pb2.Identifier(
        resource_type=kind, project=PROJECT, domain=DOMAIN, name=name, version=VERSION
    )


def echo_task(name: str) -> Any:
    """Return the request that registers an echo task from a: int to o0: int."""
    request = task_pb2.TaskCreateRequest(id=_id(identifier_pb2.TASK, name))
    template = request.spec.template
    template.type = "echo"
    template.metadata.SetInParent()
    integer = types_pb2.LiteralType(simple=types_pb2.INTEGER)
    template.interface.inputs.variables["a"].type.CopyFrom(integer)
    template.interface.outputs.variables["o0"].type.CopyFrom(integer)
    return request


def sleep_task(name: str, seconds: float) -> Any:
    """Return the request that registers a container task that only sleeps."""
    request = task_pb2.TaskCreateRequest(id=_id(identifier_pb2.TASK, name))
    template = request.spec.template
    template.type = "container"
    template.metadata.SetInParent()
    integer = types_pb2.LiteralType(simple=types_pb2.INTEGER)
    template.interface.inputs.variables["a"].type.CopyFrom(integer)
    template.container.image = "none"
    template.container.command.extend(["sleep", str(seconds)])
    return request


def layers_workflow(
    name: str, task: str, layers: int, width: int, *, passing: bool = True
) -> Any:
    """Return the request for a workflow of `width` chains of `layers` tasks.

    `passing`: each task's output is the next one's input.
    """
    request = workflow_pb2.WorkflowCreateRequest(id=_id(identifier_pb2.WORKFLOW, name))
    template = request.spec.template
    integer = types_pb2.LiteralType(simple=types_pb2.INTEGER)
    template.interface.inputs.variables["a"].type.CopyFrom(integer)
    for layer in range(layers):
        for column in range(width):
            node = template.nodes.add(id=f"n{layer}x{column}")
            node.task_node.reference_id.CopyFrom(_id(identifier_pb2.TASK, task))
            promise = node.inputs.add(var="a").binding.promise
            promise.var = "o0" if layer and passing else "a"
            promise.node_id = f"n{layer - 1}x{column}" if layer and passing else ""
            if layer:
                node.upstream_node_ids.append(f"n{layer - 1}x{column}")
    return request


def register_layers(
    client: Any,
    name: str,
    *,
    layers: int,
    width: int,
    sleep_s: float = 0.0,
    cached: bool = False,
    returns: bool = False,
) -> None:
    """Register the task (echo, or one that sleeps), the workflow and its plan.

    `returns`: the workflow yields what the last task yields.
    """
    stub, task = client._stub, f"{name}.t"
    passing = not sleep_s
    request = echo_task(task) if passing else sleep_task(task, sleep_s)
    request.spec.template.metadata.discoverable = cached
    request.spec.template.metadata.discovery_version = "1" if cached else ""
    stub.CreateTask(request)
    workflow = layers_workflow(name, task, layers, width, passing=passing)
    if returns:
        template = workflow.spec.template
        template.interface.outputs.variables["o0"].type.CopyFrom(INT)
        output = template.outputs.add(var="o0").binding.promise
        output.node_id, output.var = f"n{layers - 1}x0", "o0"
    stub.CreateWorkflow(workflow)
    register_plan(client, name)


def map_workflow(
    name: str,
    task: str = "",
    plan: str = "",
    concurrency: int = 0,
    *,
    returns: bool = True,
) -> Any:
    """Return the request for a workflow that maps a task, or a plan, over its list a.

    As flytekit does it: an array's interface is that of lists.
    """
    request = workflow_pb2.WorkflowCreateRequest(id=_id(identifier_pb2.WORKFLOW, name))
    template = request.spec.template
    template.interface.inputs.variables["a"].type.CopyFrom(LIST)
    node = template.nodes.add(id="n0")
    inner = node.array_node.node
    if plan:
        reference = _id(identifier_pb2.LAUNCH_PLAN, plan)
        inner.workflow_node.launchplan_ref.CopyFrom(reference)
        node.array_node.is_original_sub_node_interface.value = True
        node.array_node.data_mode = core_workflow_pb2.ArrayNode.INDIVIDUAL_INPUT_FILES
    else:
        inner.task_node.reference_id.CopyFrom(_id(identifier_pb2.TASK, task))
    node.array_node.parallelism = concurrency
    for bound in (node, inner):
        binding = bound.inputs.add(var="a").binding.promise
        binding.node_id, binding.var = "", "a"
    if returns:
        template.interface.outputs.variables["o0"].type.CopyFrom(LIST)
        output = template.outputs.add(var="o0").binding.promise
        output.node_id, output.var = "n0", "o0"
    return request


def register_map(
    client: Any,
    name: str,
    *,
    plan: str = "",
    cached: bool = False,
    concurrency: int = 0,
    sleep_s: float = 0.0,
) -> None:
    """Register a workflow that maps a task, or a plan, over its list a.

    The task echoes, or sleeps and yields nothing.
    """
    stub, task = client._stub, f"{name}.t"
    if not plan:
        request = sleep_task(task, sleep_s) if sleep_s else echo_task(task)
        interface = request.spec.template.interface
        for variables in (interface.inputs.variables, interface.outputs.variables):
            for variable in variables.values():
                variable.type.CopyFrom(LIST)
        request.spec.template.metadata.discoverable = cached
        request.spec.template.metadata.discovery_version = "1" if cached else ""
        stub.CreateTask(request)
    workflow = map_workflow(name, task, plan, concurrency, returns=not sleep_s)
    stub.CreateWorkflow(workflow)
    register_plan(client, name)


def register_gate(client: Any, name: str) -> None:
    """Register a workflow that waits for an integer, and its plan."""
    request = workflow_pb2.WorkflowCreateRequest(id=_id(identifier_pb2.WORKFLOW, name))
    template = request.spec.template
    template.interface.inputs.variables["a"].type.CopyFrom(INT)
    signal = template.nodes.add(id="n0").gate_node.signal
    signal.signal_id = "go"
    signal.type.CopyFrom(INT)
    signal.output_variable_name = "o0"
    client._stub.CreateWorkflow(request)
    register_plan(client, name)


def register_plan(client: Any, name: str) -> None:
    """Register the launch plan of a workflow of the same name."""
    plan = launch_plan_pb2.LaunchPlanCreateRequest(
        id=_id(identifier_pb2.LAUNCH_PLAN, name)
    )
    plan.spec.workflow_id.CopyFrom(_id(identifier_pb2.WORKFLOW, name))
    client._stub.CreateLaunchPlan(plan)


def create(client: Any, plan: str, name: str, a: int | Sequence[int] = 1) -> str:
    """Create an execution; return its name."""
    request = execution_pb2.ExecutionCreateRequest(
        project=PROJECT, domain=DOMAIN, name=name
    )
    request.spec.launch_plan.CopyFrom(_id(identifier_pb2.LAUNCH_PLAN, plan))
    given = request.inputs.literals["a"]
    if isinstance(a, int):
        given.scalar.primitive.integer = a
    else:
        given.collection.SetInParent()
        for item in a:
            given.collection.literals.add().scalar.primitive.integer = item
    return str(client._stub.CreateExecution(request).id.name)


def wait(client: Any, name: str, limit_s: float, poll_s: float = 0.05) -> str:
    """Wait for an execution's end; return its phase's name."""
    request = execution_pb2.WorkflowExecutionGetRequest()
    request.id.project, request.id.domain, request.id.name = PROJECT, DOMAIN, name
    until = time.monotonic() + limit_s
    phase = _PHASE.UNDEFINED
    while time.monotonic() < until:
        phase = client._stub.GetExecution(
            request, timeout=30, wait_for_ready=True
        ).closure.phase
        if phase in _DONE:
            break
        time.sleep(poll_s)
    return str(_PHASE.Name(phase))
