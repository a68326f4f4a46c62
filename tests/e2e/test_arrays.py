"""Arrays by the real flytekit: values of local execution, and what sync shows."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from flytekit.remote import FlyteRemote

from tests.e2e.running import array_of, finish, resources_of, start

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED, ABORTED = 4, 6, 7
RUNS, ENDS_WELL, ENDS_BADLY = 2, 3, 5
TASK_SUCCEEDED, TASK_FAILED = 3, 5


def execute(remote: FlyteRemote, name: str, **inputs: Any) -> Any:
    """Execute one of the flows and sync all of it."""
    return finish(remote, start(remote, f"arrays_flow.{name}", **inputs))


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("squares", {"xs": [1, 2, 3]}),
        ("squares", {"xs": []}),
        ("tripled", {"xs": [1, 2, 3, 4, 5]}),
        ("plus_all", {"xs": [1, 2]}),
        ("half", {"xs": [1, 2, 3]}),
        ("large", {"n": 300}),
    ],
)
def test_values_are_those_of_local_execution(
    remote: FlyteRemote, project: Path, name: str, inputs: dict[str, Any]
) -> None:
    """Each flow yields what it yields on the author's machine."""
    del project
    local = getattr(importlib.import_module("arrays_flow"), name)(**inputs)
    done = execute(remote, name, **inputs)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs.get("o0", as_type=list[int | None]) == local


@pytest.mark.parametrize("name", ["over_plan", "mapped_plan"])
def test_launch_plans_are_mapped_over(remote: FlyteRemote, name: str) -> None:
    """Local execution of flytekit can't take lists from a workflow's inputs here."""
    done = execute(remote, name, xs=[1, 2, 3], bs=[4, 5, 6])

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == [4, 10, 18]


def test_sync_shows_each_element(remote: FlyteRemote) -> None:
    """One attempt tells of each index: its name, phase and log."""
    node = array_of(execute(remote, "squares", xs=[4, 5, 6]))

    assert not node.metadata.is_parent_node
    assert node.closure.phase == ENDS_WELL
    resources = resources_of(remote, node)
    assert [r.index for r in resources] == [0, 1, 2]
    assert [r.phase for r in resources] == [TASK_SUCCEEDED] * 3
    assert [r.external_id[-9:] for r in resources] == [
        "n0-0-n0-0", "n0-0-n1-0", "n0-0-n2-0",
    ]  # fmt: skip
    assert resources[2].logs[0].name.endswith("-2")
    assert node.inputs["a"] == [4, 5, 6]
    assert node.outputs["o0"] == [16, 25, 36]


def test_retries_of_an_element_show(remote: FlyteRemote) -> None:
    """An element's attempts are its own."""
    done = execute(remote, "retried", xs=[1, 2, 3])

    assert done.outputs["o0"] == [1, 3, 3]
    assert [r.retry_attempt for r in resources_of(remote, array_of(done))] == [0, 1, 0]


def test_a_failing_element_fails_a_strict_map(remote: FlyteRemote) -> None:
    """The error tells which element failed, and why."""
    done = execute(remote, "strict", xs=[1, 2, 3])

    assert done.closure.phase == FAILED
    assert "2 is even" in done.closure.error.message
    assert "[1]" in done.closure.error.message
    node = array_of(done)
    assert node.closure.phase == ENDS_BADLY
    assert resources_of(remote, node)[1].phase == TASK_FAILED


def test_a_map_without_outputs(remote: FlyteRemote) -> None:
    """Tasks that return nothing are mapped over too."""
    assert execute(remote, "silent", xs=[1, 2]).closure.phase == SUCCEEDED


def test_children_of_a_mapped_launch_plan_show(remote: FlyteRemote) -> None:
    """Each element over a launch plan names its child execution."""
    done = execute(remote, "over_plan", xs=[1, 2], bs=[3, 4])
    resources = resources_of(remote, array_of(done))

    assert [r.phase for r in resources] == [TASK_SUCCEEDED] * 2
    assert len({r.external_id for r in resources}) == 2
