"""Failures of one node kind within another, killed engines and tasks (ref §4, §5)."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import task_execution_pb2
from flytekit.models.core.execution import ExecutionError
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import client, register
from tests.e2e.running import finish, run, start
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED = 4, 6
NODE_FAILED, NODE_SUCCEEDED = 5, 3
USER, SYSTEM = ExecutionError.ErrorKind.USER, ExecutionError.ErrorKind.SYSTEM


def mixed(remote: FlyteRemote, name: str, a: int, note: Path) -> Any:
    """Run a workflow of the flow to its end."""
    return run(remote, f"mixed_failures_flow.{name}", a=a, note=str(note))


@pytest.mark.parametrize(
    ("name", "failed_node"),
    [
        ("wf_dynamic", "n0"),
        ("wf_inside", "n0-0-dn0-0-dn0"),
        ("wf_cleaned_by_dynamic", "n0"),
    ],
)
def test_failure_nodes_and_dynamics_go_together(
    remote: FlyteRemote, tmp_path: Path, name: str, failed_node: str
) -> None:
    """Whichever holds the other, it is told the right node, and the error stays."""
    done = mixed(remote, name, 3, tmp_path / "note")

    assert done.closure.phase == FAILED
    assert done.closure.error.kind == USER
    assert "bad 3" in done.closure.error.message
    assert done.node_executions["n0"].closure.phase == NODE_FAILED
    assert (tmp_path / "note").read_text() == failed_node


def test_a_childs_error_comes_up_through_arrays_and_dynamics(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Code and kind stay the task's, the message says which element it was."""
    done = mixed(remote, "wf_deep", 3, tmp_path / "note")

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "USER:RuntimeError"
    assert done.closure.error.kind == USER
    assert "\n[1]: " in done.closure.error.message
    assert "bad 3" in done.closure.error.message


def test_the_last_attempt_that_the_system_grants_is_on_stable_nodes(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Three killed attempts are interruptible, the fourth isn't any more."""
    done = mixed(remote, "wf_killed", 3, tmp_path / "note")

    assert done.closure.phase == SUCCEEDED
    attempts = done.node_executions["n0"].task_executions
    errors = [attempt.closure.error for attempt in attempts]
    assert [e.code if e else "" for e in errors] == [*["Interrupted"] * 3, ""]
    assert {e.kind for e in errors if e} == {SYSTEM}
    raw = remote.client._stub
    classes = [
        raw.GetTaskExecution(_get(attempt)).closure.metadata.instance_class
        for attempt in attempts
    ]
    assert classes == [1, 1, 1, 0]


def _get(attempt: Any) -> Any:
    return task_execution_pb2.TaskExecutionGetRequest(id=attempt.id.to_flyte_idl())


def test_what_the_system_says_is_final_is_not_tried_again(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Flytekit blames the system for outputs of a wrong type, for good."""
    done = mixed(remote, "wf_no_number", 1, tmp_path / "note")

    assert done.closure.phase == FAILED
    assert (done.closure.error.code, done.closure.error.kind) == ("SYSTEM", SYSTEM)
    assert len(done.node_executions["n0"].task_executions) == 1


def test_waiting_for_a_runner_is_no_time_of_the_task(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Of more elements than run at once, the last isn't too late before it begins."""
    done = mixed(remote, "wf_brief", 1, tmp_path / "note")

    assert done.closure.phase == SUCCEEDED
    assert done.outputs["o0"] == list(range(1, 13))


def test_an_engine_killed_during_a_dynamic_parents_retry(tmp_path: Path) -> None:
    """Again and again: attempts, inside and elements go on, nothing is lost."""
    engine, draw = Running(tmp_path / "data"), random.Random(7)
    engine.start()
    try:
        folder = tmp_path / "project"
        folder.mkdir()
        register(engine, folder, "mixed_failures_flow.py")
        remote = client(engine)
        note = tmp_path / "note"
        running = start(remote, "mixed_failures_flow.wf_flaky", a=1, note=str(note))
        for _ in range(4):
            time.sleep(draw.uniform(0.1, 0.8))
            engine.kill()
            engine.start()
        done = finish(remote, running)

        assert done.closure.phase == SUCCEEDED
        assert done.outputs["o0"] == [1, 2, 3]
        assert done.node_executions["n0"].metadata.is_dynamic
        assert engine.flightlog("verify").returncode == 0
    finally:
        engine.stop()
