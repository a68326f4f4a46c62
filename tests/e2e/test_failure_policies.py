"""What a failure does to others: siblings, dependants, parents, children (ref §4.3)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from flytekit.models.core.execution import ExecutionError
from flytekit.remote import FlyteRemote

from tests.e2e.running import finish, is_gone, run, start

pytestmark = pytest.mark.e2e
FAILED, ABORTED = 6, 7
NODE_SUCCEEDED, NODE_FAILED, NODE_ABORTED, NODE_SKIPPED = 3, 5, 6, 7
USER = ExecutionError.ErrorKind.USER


def phases(done: Any) -> dict[str, int]:
    """Return the phase of each node that clients see."""
    return {name: node.closure.phase for name, node in done.node_executions.items()}


def child_of(remote: FlyteRemote, done: Any, node: str = "n0") -> Any:
    """Return the child execution of a launch plan node, once it has ended."""
    metadata = done.node_executions[node].closure.workflow_node_metadata
    until = time.monotonic() + 30
    while time.monotonic() < until:
        child = remote.client.get_execution(metadata.execution_id)
        if child.closure.phase in {FAILED, ABORTED}:
            return child
        time.sleep(0.05)
    raise AssertionError("the child hasn't ended")


def await_file(path: Path) -> None:
    """Wait for a file, 30 s at most."""
    until = time.monotonic() + 30
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert path.exists()


def test_the_late_policy_goes_on_with_what_it_can(remote: FlyteRemote) -> None:
    """What needs the failed node is SKIPPED whatever it is; everything else runs."""
    done = run(remote, "failure_policy_flow.wf_late", a=3)

    assert done.closure.phase == FAILED
    assert "bad 3" in done.closure.error.message
    found = phases(done)
    assert found["n0"] == NODE_FAILED
    assert found["n2"] == found["n3"] == NODE_SUCCEEDED
    assert found["n1"] == found["n4"] == found["n5"] == found["n6"] == NODE_SKIPPED
    assert not done.node_executions["n1"].task_executions


def test_the_quick_policy_stops_siblings(remote: FlyteRemote, tmp_path: Path) -> None:
    """Their processes end, they are ABORTED, and the error is the first one."""
    marker = tmp_path / "pid"
    done = run(remote, "failure_policy_flow.wf_at_once", a=1, marker=str(marker))

    assert done.closure.phase == FAILED
    assert "bad after all" in done.closure.error.message
    assert phases(done)["n0"] == NODE_ABORTED
    assert phases(done)["n1"] == NODE_FAILED
    assert is_gone(marker)


def test_a_childs_error_is_carried_up(remote: FlyteRemote) -> None:
    """Code, kind and message are the child's own."""
    done = run(remote, "failure_policy_flow.wf_child_bad", a=3)
    child = child_of(remote, done)

    assert done.closure.phase == FAILED
    assert child.closure.phase == FAILED
    assert "bad 3" in done.closure.error.message
    assert done.closure.error.message == child.closure.error.message
    assert done.closure.error.code == child.closure.error.code
    assert done.closure.error.kind == child.closure.error.kind == USER


def test_termination_reaches_children(remote: FlyteRemote, tmp_path: Path) -> None:
    """The child is terminated too, with its process, and says why."""
    marker = tmp_path / "pid"
    begun = start(remote, "failure_policy_flow.wf_child_sleeps", marker=str(marker))
    await_file(marker)
    remote.terminate(begun, cause="enough")
    done = finish(remote, begun)
    child = child_of(remote, done)

    assert done.closure.phase == child.closure.phase == ABORTED
    assert (
        "cascading abort as parent execution id" in child.closure.abort_metadata.cause
    )
    assert "reason [enough]" in child.closure.abort_metadata.cause
    assert is_gone(marker)


def test_a_failing_sibling_stops_a_child(remote: FlyteRemote, tmp_path: Path) -> None:
    """A child of a node that is aborted is terminated as well."""
    marker = tmp_path / "pid"
    done = run(remote, "failure_policy_flow.wf_sibling_of_child", marker=str(marker))
    assert done.closure.phase == FAILED
    assert phases(done)["n0"] == NODE_ABORTED
    assert child_of(remote, done).closure.phase == ABORTED
    assert is_gone(marker)


def test_a_failure_that_isn_t_recoverable(remote: FlyteRemote) -> None:
    """It isn't tried again, whatever budget there is, and its error is as it was."""
    done = run(remote, "failure_policy_flow.wf_hopeless", a=3)

    assert done.closure.phase == FAILED
    assert "broken 3" in done.closure.error.message
    assert not done.closure.error.code.startswith("RetriesExhausted")
    assert done.closure.error.kind == USER
    assert len(done.node_executions["n0"].task_executions) == 1
