"""Failures as clients see them: code, kind, message, attempts (ref §4.5, §6.5)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from flytekit.models.core.execution import ExecutionError
from flytekit.remote import FlyteRemote

from tests.e2e.running import finish, run, start_sleeping

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED, ABORTED = 4, 6, 7
NODE_ABORTED = 6
USER, SYSTEM = ExecutionError.ErrorKind.USER, ExecutionError.ErrorKind.SYSTEM


def attempts(done: Any) -> list[Any]:
    """Return the task executions of the only node."""
    return done.node_executions["n0"].task_executions


def test_an_exception(remote: FlyteRemote) -> None:
    """The message is the author's, the failure isn't tried again."""
    done = run(remote, "failing_flow.wf_raises")

    assert done.closure.phase == FAILED
    error = done.closure.error
    assert "boom 1" in error.message
    assert error.kind == USER
    assert error.code == "ValueError" or "USER" in error.code
    assert len(attempts(done)) == 1


def test_retries_that_succeed(remote: FlyteRemote, tmp_path: Path) -> None:
    """Two recoverable failures, then success: three attempts."""
    done = run(remote, "failing_flow.wf_recovers", marker=str(tmp_path / "tries"))

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 2
    assert len(attempts(done)) == 3


def test_retries_that_are_used_up(remote: FlyteRemote) -> None:
    """The error says how many attempts there were and what the last one said."""
    done = run(remote, "failing_flow.wf_never")

    assert done.closure.phase == FAILED
    assert done.closure.error.code.startswith("RetriesExhausted|")
    assert done.closure.error.message.startswith("[2/2] currentAttempt done.")
    assert "never mind" in done.closure.error.message
    assert len(attempts(done)) == 2


def test_a_killed_process_is_the_systems(remote: FlyteRemote) -> None:
    """Exit code 137 uses the system's budget: four attempts."""
    done = run(remote, "failing_flow.wf_killed")

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "RetriesExhausted|Interrupted"
    assert len(attempts(done)) == 4


def test_another_exit_code_is_the_users(remote: FlyteRemote) -> None:
    """Any other exit code is an error of the task."""
    done = run(remote, "failing_flow.wf_exits")

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "RetriesExhausted|Error"
    assert len(attempts(done)) == 1


def test_terminate_reaches_the_process(remote: FlyteRemote, tmp_path: Path) -> None:
    """The task's process is gone soon after, and every node is ABORTED."""
    execution, marker = start_sleeping(remote, tmp_path)
    pid = int(marker.read_text())
    remote.terminate(execution, cause="enough")
    done = finish(remote, execution)

    assert done.closure.phase == ABORTED
    assert done.closure.abort_metadata.cause == "enough"
    assert done.node_executions["n0"].closure.phase == NODE_ABORTED
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
