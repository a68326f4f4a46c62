"""Dynamic workflows with real flytekit: the values of local execution, and sync."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import node_execution_pb2
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import AnEngine
from tests.e2e.running import finish, run, start

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED, ABORTED = 4, 6, 7
NODE_SUCCEEDED, NODE_FAILED, NODE_ABORTED, NODE_TIMED_OUT = 3, 5, 6, 8


@pytest.mark.parametrize(
    ("name", "n", "kind"),
    [
        ("looped", 4, int),
        ("looped", 0, int),
        ("fib", 5, int),
        ("all_kinds", 3, int),
        ("no_task", 7, list[int]),
    ],
)
def test_values_are_those_of_local_execution(
    remote: FlyteRemote, project: Path, name: str, n: int, kind: Any
) -> None:
    """Each flow yields what it yields on the author's machine."""
    del project
    local = getattr(importlib.import_module("dynamic_flow"), name)(n=n)
    done = run(remote, f"dynamic_flow.{name}", n=n)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs.get("o0", as_type=kind) == local


def test_all_outputs_are_bound(remote: FlyteRemote, project: Path) -> None:
    """Promises, plain values and both in one dict are as in local execution."""
    del project
    local = importlib.import_module("dynamic_flow").several(n=2)
    done = run(remote, "dynamic_flow.several", n=2)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    kinds = [list[int], str, dict[str, int]]
    found = [done.outputs.get(f"o{i}", as_type=kind) for i, kind in enumerate(kinds)]
    assert found == list(local)


def test_a_dynamic_without_outputs(remote: FlyteRemote, project: Path) -> None:
    """Its tasks are run, though nobody asks for what they yield."""
    del project
    done = run(remote, "dynamic_flow.quiet", n=2)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    inside = done.node_executions["n0"].subworkflow_node_executions
    assert {"n0-0-dn0", "n0-0-dn1"} <= inside.keys()


def test_a_cached_dynamic_is_made_once(remote: FlyteRemote, project: Path) -> None:
    """A hit has the outputs of the inside without making it again."""
    del project
    first, again = (run(remote, "dynamic_flow.cached", n=4) for _ in range(2))

    assert first.outputs["o0"] == again.outputs["o0"] == 14
    assert first.node_executions["n0"].metadata.is_dynamic
    assert not again.node_executions["n0"].metadata.is_dynamic


@pytest.mark.parametrize(
    ("name", "stopped"),
    [("tried_again", NODE_TIMED_OUT), ("within_limit", NODE_ABORTED)],
)
def test_a_dynamic_workflow_past_its_limit_is_tried_again(
    remote: FlyteRemote, project: Path, name: str, stopped: int
) -> None:
    """A node inside that timed out, or the attempt's own limit, lets it be retried."""
    del project
    done = run(remote, f"dynamic_flow.{name}", n=3)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 3
    node = done.node_executions["n0"]
    inside = node.subworkflow_node_executions
    assert inside["n0-0-dn0"].closure.phase == stopped
    assert inside["n0-1-dn0"].closure.phase == NODE_SUCCEEDED
    attempts, _ = remote.client.list_task_executions_paginated(node.id, limit=10)
    assert {a.id.retry_attempt for a in attempts} == {0, 1}
    last = max(attempts, key=lambda attempt: attempt.id.retry_attempt)
    data = remote.client.get_task_execution_data(last.id)
    assert data.full_outputs.literals["o0"].scalar.primitive.integer == 3


def test_what_cant_be_compiled(remote: FlyteRemote, project: Path) -> None:
    """The node fails with the compiler's words, and nothing inside begins."""
    del project
    done = run(remote, "dynamic_flow.not_built", n=3)

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "DynamicWorkflowBuildFailed"
    assert "WorkflowReferenceNotFound" in done.closure.error.message
    assert "dynamic_flow.unknown" in done.closure.error.message
    assert not done.node_executions["n0"].metadata.is_dynamic


def test_sync_shows_the_inside(remote: FlyteRemote) -> None:
    """A client sees a dynamic node's workflow, nodes, inputs and outputs."""
    done = run(remote, "dynamic_flow.looped", n=3)
    node = done.node_executions["n0"]

    assert node.metadata.is_dynamic
    assert node.metadata.is_parent_node
    inside = node.subworkflow_node_executions
    assert {"n0-0-dn0", "n0-0-dn1", "n0-0-dn2"} <= inside.keys()
    assert inside["n0-0-dn2"].inputs["x"] == 2
    assert inside["n0-0-dn2"].outputs["o0"] == 4
    request = node_execution_pb2.GetDynamicNodeWorkflowRequest(
        id=node.id.to_flyte_idl()
    )
    reply = remote.client._stub.GetDynamicNodeWorkflow(request)
    assert len(reply.compiled_workflow.primary.template.nodes) == 5
    attempts, _ = remote.client.list_task_executions_paginated(node.id)
    attempt = attempts[0].id.to_flyte_idl()
    listing = node_execution_pb2.NodeExecutionForTaskListRequest(
        task_execution_id=attempt, limit=9
    )
    made = remote.client._stub.ListNodeExecutionsForTask(listing).node_executions
    assert inside.keys() <= {found.id.node_id for found in made}


def test_a_failure_inside_fails_the_node_with_the_childs_error(
    remote: FlyteRemote,
) -> None:
    """The error of the node inside is the dynamic node's and the execution's."""
    done = run(remote, "dynamic_flow.fails_inside", n=3)

    assert done.closure.phase == FAILED
    assert "no 3" in done.closure.error.message
    phases = {n.id.node_id: n.closure.phase for n in done.node_executions.values()}
    assert phases["n0"] == NODE_FAILED


def test_a_failed_parent_is_tried_again(remote: FlyteRemote) -> None:
    """Nodes of the second attempt have its number."""
    done = run(remote, "dynamic_flow.retried", n=3)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 9
    node = done.node_executions["n0"]
    assert "n0-1-dn0" in node.subworkflow_node_executions


def test_an_abort_stops_what_runs_inside(remote: FlyteRemote) -> None:
    """Nothing inside goes on after the execution was terminated."""
    execution = start(remote, "dynamic_flow.sleeping", n=3, seconds=60.0)
    _wait_for_inside(remote, execution)
    remote.terminate(execution, "enough")
    done = finish(remote, execution)

    assert done.closure.phase == ABORTED
    inside = done.node_executions["n0"].subworkflow_node_executions
    ended = {inside[f"n0-0-dn{i}"].closure.phase for i in range(3)}
    assert ended == {NODE_ABORTED}


def _wait_for_inside(remote: FlyteRemote, execution: Any) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        nodes, _ = remote.client.list_node_executions(
            execution.id, unique_parent_id="n0"
        )
        if any("dn" in n.id.node_id for n in nodes):
            return
        time.sleep(0.1)
    raise AssertionError("the dynamic node has no inside")


def test_the_inside_outlives_kills(engine: AnEngine, remote: FlyteRemote) -> None:
    """A killed engine finds what tasks made again, and goes on inside."""
    execution = start(remote, "dynamic_flow.sleeping", n=6, seconds=0.6)
    _wait_for_inside(remote, execution)
    for _ in range(2):
        engine.kill()
        engine.start()
        time.sleep(0.5)
    done = finish(remote, execution)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 15
