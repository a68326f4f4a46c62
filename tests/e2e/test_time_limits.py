"""Time limits, pauses and growing memory, by real flytekit (ref §4.5, §4.6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import task_execution_pb2
from flytekit import Options
from flytekit.exceptions.user import FlyteInvalidInputException
from flytekit.models.common import Annotations
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import VERSION
from tests.e2e.running import finish, is_gone, run

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED, TIMED_OUT = 4, 6, 8
NODE_ABORTED = 6
TASK_ABORTED = 4
INTERRUPTIBLE = 1


def start_with(remote: FlyteRemote, name: str, marker: Path, **said: str) -> Any:
    """Execute a workflow with Flightlog's annotations."""
    plan = remote.fetch_launch_plan(name=name, version=VERSION)
    annotations = {f"flightlog.org/{key}": value for key, value in said.items()}
    return remote.execute(
        plan,
        inputs={"marker": str(marker)},
        options=Options(annotations=Annotations(annotations)),
    )


def attempts(remote: FlyteRemote, done: Any) -> list[Any]:
    """Return the attempts of the only node as flyteidl's messages."""
    found = [
        remote.client._stub.GetTaskExecution(
            task_execution_pb2.TaskExecutionGetRequest(id=attempt.id.to_flyte_idl())
        )
        for attempt in done.node_executions["n0"].task_executions
    ]
    return sorted(found, key=lambda attempt: attempt.id.retry_attempt)


def test_a_task_that_takes_too_long(remote: FlyteRemote, tmp_path: Path) -> None:
    """Its process is stopped, the attempt ABORTED, the error in Flyte's words."""
    done = run(remote, "time_limits_flow.wf_slow", marker=str(tmp_path / "pid"))

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "RetriesExhausted|TimeoutExpired"
    assert done.closure.error.message == (
        "[1/1] currentAttempt done. Last Error: "
        "USER::task execution timeout [1s] expired"
    )
    (attempt,) = attempts(remote, done)
    assert attempt.closure.phase == TASK_ABORTED
    assert is_gone(tmp_path / "pid")


def test_an_attempt_in_time_after_a_late_one(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """A retry has the whole time again."""
    done = run(remote, "time_limits_flow.wf_slow_once", marker=str(tmp_path / "n"))

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 1


def test_an_execution_that_takes_too_long(remote: FlyteRemote, tmp_path: Path) -> None:
    """It ends TIMED_OUT once everything was stopped and cleaned up."""
    marker = tmp_path / "pid"
    begun = start_with(remote, "time_limits_flow.wf_sleeps", marker, timeout="4s")
    done = finish(remote, begun)

    assert done.closure.phase == TIMED_OUT
    assert done.closure.error.code == "ExecutionTimedOut"
    assert "[4s]" in done.closure.error.message
    assert done.node_executions["n0"].closure.phase == NODE_ABORTED
    assert is_gone(marker)
    assert Path(f"{marker}.clean").read_text() == "clean"


def test_an_invalid_annotation_is_rejected(remote: FlyteRemote, tmp_path: Path) -> None:
    """It is refused at once, with what is expected."""
    with pytest.raises(FlyteInvalidInputException) as refused:
        start_with(remote, "time_limits_flow.wf_sleeps", tmp_path / "m", timeout="soon")
    assert "to be a duration like 90s" in str(refused.value.__cause__)


def test_a_pause_before_a_retry(remote: FlyteRemote, tmp_path: Path) -> None:
    """The task asks for it by a variable of its environment."""
    done = run(remote, "time_limits_flow.wf_pauses", marker=str(tmp_path / "n"))

    assert done.closure.phase == SUCCEEDED, done.closure.error
    first, second = attempts(remote, done)
    ended = first.closure.updated_at.ToMicroseconds()
    assert second.closure.created_at.ToMicroseconds() - ended >= 1_900_000


def test_more_memory_after_running_out_of_it(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Each attempt after a killed one is given twice as much, and says so."""
    done = run(remote, "time_limits_flow.wf_hungry", marker=str(tmp_path / "n"))

    assert done.closure.phase == SUCCEEDED, done.closure.error
    found = attempts(remote, done)
    said = [attempt.closure.reasons[0].message for attempt in found]
    assert [line.partition(" with ")[2] for line in said] == [
        "",
        "200Mi of memory",
        "400Mi of memory",
    ]
    kinds = [attempt.closure.metadata.instance_class for attempt in found]
    assert kinds == [INTERRUPTIBLE] * 3
