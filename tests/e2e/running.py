"""Running workflows by FlyteRemote and waiting as a test should: briefly."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from flyteidl.admin import task_execution_pb2
from flytekit.models.core.execution import WorkflowExecutionPhase
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import VERSION

DONE = {
    WorkflowExecutionPhase.SUCCEEDED,
    WorkflowExecutionPhase.FAILED,
    WorkflowExecutionPhase.ABORTED,
    WorkflowExecutionPhase.TIMED_OUT,
}


def start(remote: FlyteRemote, name: str, **inputs: Any) -> Any:
    """Execute a registered launch plan."""
    plan = remote.fetch_launch_plan(name=name, version=VERSION)
    hints = {k: type(v) for k, v in inputs.items() if not isinstance(v, list | dict)}
    return remote.execute(plan, inputs=inputs, type_hints=hints)


def finish(remote: FlyteRemote, execution: Any, limit_s: float = 90) -> Any:
    """Wait for an execution's end and sync it with all its nodes."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        found = remote.client.get_execution(execution.id)
        if found.closure.phase in DONE:
            return remote.sync(execution, sync_nodes=True)
        time.sleep(0.05)
    raise AssertionError(f"{execution.id.name} hasn't ended within {limit_s} s")


def run(remote: FlyteRemote, name: str, **inputs: Any) -> Any:
    """Execute and finish."""
    return finish(remote, start(remote, name, **inputs))


def start_sleeping(remote: FlyteRemote, folder: Path) -> tuple[Any, Path]:
    """Start a task that sleeps; return the execution, and the task's marker.

    That is a file in the folder, with the process's id once the task runs.
    """
    marker = folder / "pid"
    execution = start(
        remote, "failing_flow.wf_sleeps", seconds=60.0, marker=str(marker)
    )
    until = time.monotonic() + 30
    while not marker.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return execution, marker


def is_gone(marker: Path) -> bool:
    """Return whether the process that left its id there ends within 10 s."""
    pid, until = int(marker.read_text()), time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def array_of(execution: Any) -> Any:
    """Return the execution's first array node."""
    nodes = execution.node_executions.values()
    return next(node for node in nodes if node.metadata.is_array)


def resources_of(remote: FlyteRemote, node: Any) -> list[Any]:
    """Return what clients are told of an array's elements, beyond flytekit's models."""
    assert len(node.task_executions) == 1
    request = task_execution_pb2.TaskExecutionGetRequest(
        id=node.task_executions[0].id.to_flyte_idl()
    )
    attempt = remote.client._stub.GetTaskExecution(request)
    assert attempt.closure.task_type == "container_array"
    assert attempt.closure.metadata.plugin_identifier == "k8s-array"
    return list(attempt.closure.metadata.external_resources)
