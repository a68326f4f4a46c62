"""Graphs of every shape, seen through sync with all their nodes."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import DOMAIN, PROJECT, AnEngine, pyflyte
from tests.e2e.running import run
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
SUCCEEDED, ABORTED = 4, 7
NODE_SUCCEEDED = 3


def test_all_shapes_in_one(remote: FlyteRemote) -> None:
    """Chain, fan-out, nested sub-workflows, a child execution, a branch."""
    done = run(remote, "shapes_flow.shapes", a=1)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert [done.outputs[f"o{i}"] for i in range(4)] == [12, 14, 4, 14]


def test_every_node_has_inputs_and_outputs(
    engine: AnEngine, remote: FlyteRemote
) -> None:
    """Sync shows nodes inside sub-workflows, branches and children, and their logs."""
    done = run(remote, "shapes_flow.shapes", a=1)
    nodes = done.node_executions

    assert all(n.closure.phase == NODE_SUCCEEDED for n in nodes.values())
    n0 = nodes["n0"]
    assert (n0.inputs["a"], n0.inputs["b"], n0.outputs["o0"]) == (1, 1, 2)
    assert n0.task_executions[0].inputs["a"] == 1
    link = n0.task_executions[0].closure.logs[0].uri
    assert link.startswith(f"{engine.http}/logs/")
    with urllib.request.urlopen(link, timeout=10) as reply:
        assert reply.status == 200
    parents = [n for n in nodes.values() if n.metadata.is_parent_node]
    assert len(parents) >= 2
    assert any(n.subworkflow_node_executions for n in parents)
    children = [n for n in nodes.values() if n.workflow_executions]
    assert len(children) == 1
    assert children[0].workflow_executions[0].outputs["o0"] == 4


@pytest.mark.parametrize(("a", "expected"), [(5, 106), (3, 4), (-2, -3)])
def test_branches(remote: FlyteRemote, a: int, expected: int) -> None:
    """Each arm of each branch is taken when it should be."""
    done = run(remote, "shapes_flow.two_level", a=a)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == expected


@pytest.mark.parametrize(("a", "expected"), [(None, 1), (3, 4), (5, 101)])
def test_branches_ask_for_nothing(
    remote: FlyteRemote, a: int | None, expected: int
) -> None:
    """An optional is compared by what it holds; `is_none()` when that is nothing."""
    done = run(remote, "shapes_flow.perhaps", a=a, b=1)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == expected


def test_a_launch_plans_default(remote: FlyteRemote) -> None:
    """The plan's default input is used, and can be given."""
    assert run(remote, "shapes_flow.plan").outputs["o0"] == 9
    assert run(remote, "shapes_flow.plan", a=1).outputs["o0"] == 3


def test_pyflyte_run_remote(engine: Running, project: Path) -> None:
    """The command that every author knows registers, runs and waits."""
    done = pyflyte(
        engine, project, "run", "--remote", "--wait", "--poll-interval", "1",
        "-p", PROJECT, "-d", DOMAIN, "shapes_flow.py", "two_level", "--a", "5",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "succeeded" in done.stdout


def test_listing_and_latest(remote: FlyteRemote) -> None:
    """Recent executions are listed, the latest version is found without naming it."""
    done = run(remote, "shapes_flow.inner", a=2)

    recent = remote.recent_executions(limit=5)
    assert done.id.name in [e.id.name for e in recent]
    assert (
        remote.fetch_workflow(name="shapes_flow.inner").id.name == "shapes_flow.inner"
    )
    assert remote.fetch_task(name="shapes_flow.add").id.version


def test_relaunch(remote: FlyteRemote, engine: Running, project: Path) -> None:
    """A relaunch has the original's inputs."""
    first = run(remote, "shapes_flow.inner", a=20)
    again = remote.client.relaunch_execution(first.id)
    relaunched = remote.fetch_execution(name=again.name)

    from tests.e2e.running import finish

    done = finish(remote, relaunched)
    assert done.outputs["o0"] == 22
    assert done.spec.metadata.reference_execution.name == first.id.name
