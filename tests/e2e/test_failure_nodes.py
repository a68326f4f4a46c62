"""Failure nodes by real flytekit: `on_failure` with inputs and `err` (ref §4.1)."""

from __future__ import annotations

from pathlib import Path

import pytest
from flytekit.remote import FlyteRemote

from tests.e2e.running import run

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED = 4, 6
NODE_SUCCEEDED, NODE_FAILED = 3, 5


def test_a_task_cleans_up(remote: FlyteRemote, tmp_path: Path) -> None:
    """It is told which node failed and why; the workflow has failed all the same."""
    note = tmp_path / "note"
    done = run(remote, "failure_node_flow.wf_task", a=3, note=str(note))

    assert done.closure.phase == FAILED
    assert "boom 3" in done.closure.error.message
    assert note.read_text().startswith("3 n0 ")
    assert "boom 3" in note.read_text()
    assert done.node_executions["n0"].closure.phase == NODE_FAILED
    handler = done.node_executions["fn0"]
    assert handler.closure.phase == NODE_SUCCEEDED
    assert handler.inputs["a"] == 3


def test_a_workflow_that_succeeds_doesn_t(remote: FlyteRemote, tmp_path: Path) -> None:
    """Then there is nothing to clean up."""
    note = tmp_path / "note"
    done = run(remote, "failure_node_flow.wf_task", a=0, note=str(note))

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert "fn0" not in done.node_executions
    assert not note.exists()


def test_a_failure_node_that_fails(remote: FlyteRemote, tmp_path: Path) -> None:
    """Its error is the workflow's."""
    done = run(remote, "failure_node_flow.wf_badly", a=3, note=str(tmp_path / "note"))

    assert done.closure.phase == FAILED
    assert "can't clean up after n0" in done.closure.error.message
    assert done.node_executions["fn0"].closure.phase == NODE_FAILED


def test_a_workflow_cleans_up(remote: FlyteRemote, tmp_path: Path) -> None:
    """A failure node may be a workflow: it runs as any other does."""
    note = tmp_path / "note"
    done = run(remote, "failure_node_flow.wf_workflow", a=3, note=str(note))

    assert done.closure.phase == FAILED
    assert "boom 3" in done.closure.error.message
    assert note.read_text().startswith("3 n0 ")
    inside = done.node_executions["fn0"].workflow_executions or [None]
    assert done.node_executions["fn0"].closure.phase == NODE_SUCCEEDED, inside


def test_each_workflow_has_its_own(remote: FlyteRemote, tmp_path: Path) -> None:
    """The sub-workflow cleans up before the workflow around it does."""
    note = tmp_path / "note"
    done = run(remote, "failure_node_flow.wf_nested", a=3, note=str(note))

    assert done.closure.phase == FAILED
    assert "boom 3" in done.closure.error.message
    assert note.read_text().startswith("3 n0-0-n1 ")
    assert Path(f"{note}.outer").read_text() == "n0"
    assert {n: x.closure.phase for n, x in done.node_executions.items()}["fn0"] == (
        NODE_SUCCEEDED
    )
