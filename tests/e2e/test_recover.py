"""Recovery by the real clients: what succeeded isn't run again, wherever it lies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from flyteidl.admin import execution_pb2
from flytekit.exceptions.user import FlyteEntityNotExistException
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import VERSION, pyflyte
from tests.e2e.running import finish, run, start
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED = 4, 6
NODE_SUCCEEDED, NODE_RECOVERED = 3, 10
_METADATA = execution_pb2.ExecutionMetadata


def runs(folder: Path) -> list[str]:
    """Return the tasks that ran since the last look."""
    noted = folder / "runs"
    found = noted.read_text().splitlines() if noted.exists() else []
    noted.unlink(missing_ok=True)
    return sorted(found)


def broken(
    remote: FlyteRemote, folder: Path, name: str, **inputs: Any
) -> tuple[Any, list[str]]:
    """Run a flow until it breaks, mend it; return it, and which tasks ran."""
    failed = run(remote, f"recover_flow.{name}", folder=str(folder), **inputs)
    assert failed.closure.phase == FAILED
    (folder / "mended").touch()
    return failed, runs(folder)


def recovered(remote: FlyteRemote, original: Any) -> Any:
    """Recover an execution and wait for its end."""
    again = remote.client.recover_execution(original.id)
    return finish(remote, remote.fetch_execution(name=again.name))


def recovered_nested(remote: FlyteRemote, folder: Path, name: str) -> tuple[Any, Any]:
    """Run a flow of two parts, whose second one breaks inside; recover just that.

    Return the execution that failed, and the one that recovered it.
    """
    failed, ran = broken(remote, folder, name, x=1)
    assert ran == ["breaks-4", "works-1", "works-2", "works-3"]
    done = recovered(remote, failed)
    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 14
    assert runs(folder) == ["breaks-4"]
    return failed, done


def phases(done: Any) -> dict[str, int]:
    """Return the phases of the nodes at the top, but for start and end."""
    nodes = done.node_executions.items()
    return {k: n.closure.phase for k, n in nodes if not k.endswith("-node")}


def test_only_what_failed_runs(remote: FlyteRemote, tmp_path: Path) -> None:
    """The first task isn't run again, its outputs are used and shown."""
    failed, ran = broken(remote, tmp_path, "chain", x=1)
    assert ran == ["breaks-2", "works-1"]

    done = recovered(remote, failed)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 13
    assert runs(tmp_path) == ["breaks-2", "works-12"]
    assert phases(done) == {
        "n0": NODE_RECOVERED, "n1": NODE_SUCCEEDED, "n2": NODE_SUCCEEDED
    }  # fmt: skip
    assert done.spec.metadata.mode == _METADATA.RECOVERED
    assert done.spec.metadata.reference_execution.name == failed.id.name
    assert done.inputs["x"] == 1


def test_a_recovered_node_has_inputs_and_outputs(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """The data of a node that wasn't run is served as of any other."""
    failed, _ = broken(remote, tmp_path, "chain", x=5)
    done = recovered(remote, failed)

    node = done.node_executions["n0"]
    data = remote.client.get_node_execution_data(node.id)
    assert data.full_inputs.literals["x"].scalar.primitive.integer == 5
    assert data.full_outputs.literals["o0"].scalar.primitive.integer == 6
    assert remote.client.list_task_executions_paginated(node.id)[0] == []


def test_the_time_of_a_recovery_is_told(remote: FlyteRemote, tmp_path: Path) -> None:
    """Nodes that weren't run took no time; neither spans nor sync stumble over them."""
    failed, _ = broken(remote, tmp_path, "nested", x=1)
    done = recovered(remote, failed)

    spans = remote.client.get_execution_metrics(done.id, depth=10)

    assert spans.workflow_id.name == done.id.name
    told = {s.node_id.node_id for s in spans.spans if s.HasField("node_id")}
    assert "n1" in told


def test_large_outputs_are_taken_over(remote: FlyteRemote, tmp_path: Path) -> None:
    """What lies in a blob is read by the tasks that follow."""
    failed, ran = broken(remote, tmp_path, "large")
    assert ran == ["breaks-1", "text"]

    done = recovered(remote, failed)

    assert done.outputs["o0"] == 100_011
    assert runs(tmp_path) == ["breaks-1", "length"]


def test_insides_are_recovered(remote: FlyteRemote, tmp_path: Path) -> None:
    """A sub-workflow that succeeded is taken over whole, a failed one inside."""
    _, done = recovered_nested(remote, tmp_path, "nested")
    assert phases(done)["n0"] == NODE_RECOVERED


def test_elements_are_recovered_by_index(remote: FlyteRemote, tmp_path: Path) -> None:
    """Only the elements of a map that failed run again."""
    failed, ran = broken(remote, tmp_path, "mapped", xs=[2, 3, 4])
    assert "item-3" in ran
    succeeded = {item for item in ran if item != "item-3"}

    done = recovered(remote, failed)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 4 + 9 + 16
    again = set(runs(tmp_path))
    assert "item-3" in again
    assert again | succeeded == {"item-2", "item-3", "item-4"}


def test_children_are_recovered(remote: FlyteRemote, tmp_path: Path) -> None:
    """A child that succeeded is kept; a failed one is recovered, not started over."""
    failed, done = recovered_nested(remote, tmp_path, "family")
    kept, rerun = done.node_executions["n0"], done.node_executions["n1"]
    assert kept.closure.phase == NODE_RECOVERED
    before = failed.node_executions["n0"].closure.workflow_node_metadata.execution_id
    assert kept.closure.workflow_node_metadata.execution_id == before
    child = rerun.workflow_executions[0]
    assert phases(child) == {"n0": NODE_RECOVERED, "n1": NODE_SUCCEEDED}


def test_a_recovery_is_recovered(remote: FlyteRemote, tmp_path: Path) -> None:
    """What two executions before saved is still taken over."""
    failed, _ = broken(remote, tmp_path, "chain", x=1)
    (tmp_path / "mended").unlink()
    again = recovered(remote, failed)
    assert again.closure.phase == FAILED
    assert runs(tmp_path) == ["breaks-2"]
    (tmp_path / "mended").touch()

    done = recovered(remote, again)

    assert done.outputs["o0"] == 13
    assert runs(tmp_path) == ["breaks-2", "works-12"]


def test_a_recovered_task_goes_on_from_its_checkpoint(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """What the failed task had kept in the original is read by the recovered one."""
    failed, _ = broken(remote, tmp_path, "climb")

    assert recovered(remote, failed).outputs["o0"] == 1


def test_a_relaunch_can_overwrite_the_cache(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """A cached task runs again only if a relaunch asks for it."""
    first = run(remote, "recover_flow.kept", folder=str(tmp_path))
    assert runs(tmp_path) == ["kept"]
    for overwrite, expected in ((False, []), (True, ["kept"])):
        request = execution_pb2.ExecutionRelaunchRequest(
            id=first.id.to_flyte_idl(), overwrite_cache=overwrite
        )
        name = remote.client._stub.RelaunchExecution(request).id.name
        done = finish(remote, remote.fetch_execution(name=name))
        assert done.closure.phase == SUCCEEDED
        assert done.spec.overwrite_cache == overwrite
        assert runs(tmp_path) == expected


def test_dynamics_are_recovered_inside(remote: FlyteRemote, tmp_path: Path) -> None:
    """What dynamic tasks made isn't made again; only what failed within runs."""
    failed, ran = broken(remote, tmp_path, "dynamics", x=1)
    assert ran == [
        "breaks-5", "deeper", "spread-2", "works-1", "works-2", "works-3", "works-4"
    ]  # fmt: skip

    done = recovered(remote, failed)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 16
    assert runs(tmp_path) == ["breaks-5", "works-15"]
    node = done.node_executions["n0"]
    assert node.metadata.is_dynamic
    assert node.closure.phase == NODE_SUCCEEDED


def test_a_single_task_is_recovered(remote: FlyteRemote, tmp_path: Path) -> None:
    """An execution of a task alone runs it again, with the same inputs."""
    task = remote.fetch_task(name="recover_flow.breaks", version=VERSION)
    inputs = {"folder": str(tmp_path), "x": 1}
    failed = finish(remote, remote.execute(task, inputs=inputs))
    assert failed.closure.phase == FAILED
    (tmp_path / "mended").touch()

    done = recovered(remote, failed)

    assert done.closure.phase == SUCCEEDED
    assert done.outputs["o0"] == 11
    assert runs(tmp_path) == ["breaks-1", "breaks-1"]


def test_rest_recovers(remote: FlyteRemote, engine: Running, tmp_path: Path) -> None:
    """The same call over HTTP."""
    failed, _ = broken(remote, tmp_path, "chain", x=1)
    ref = {n: getattr(failed.id, n) for n in ("project", "domain", "name")}

    answer = httpx.post(f"{engine.http}/api/v1/executions/recover", json={"id": ref})

    assert answer.status_code == 200, answer.text
    name = answer.json()["id"]["name"]
    done = finish(remote, remote.fetch_execution(name=name))
    assert done.outputs["o0"] == 13
    assert phases(done)["n0"] == NODE_RECOVERED


def test_pyflyte_recovers(
    remote: FlyteRemote, engine: Running, project: Path, tmp_path: Path
) -> None:
    """The command that authors know recovers too."""
    failed, _ = broken(remote, tmp_path, "chain", x=2)
    words = ("-p", failed.id.project, "-d", failed.id.domain)

    done = pyflyte(
        engine,
        project,
        "execution",
        *words,
        "--execution-id",
        failed.id.name,
        "recover",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Launched execution: \S+:(\S+)", done.stdout)
    assert found, done.stdout
    again = finish(remote, remote.fetch_execution(name=found[1]))
    assert again.outputs["o0"] == 14
    assert runs(tmp_path) == ["breaks-3", "works-13"]


def test_a_relaunch_runs_everything(remote: FlyteRemote, tmp_path: Path) -> None:
    """A relaunch takes nothing over but settings and inputs."""
    failed, ran = broken(remote, tmp_path, "chain", x=1)
    assert ran == ["breaks-2", "works-1"]

    again = remote.client.relaunch_execution(failed.id, name="all-again")
    assert again.name == "all-again"
    done = finish(remote, remote.fetch_execution(name=again.name))

    assert done.outputs["o0"] == 13
    assert runs(tmp_path) == ["breaks-2", "works-1", "works-12"]
    assert done.spec.metadata.mode == _METADATA.RELAUNCH


def test_what_runs_or_is_not_there_is_refused(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Recovering a running or an unknown execution is told, and nothing is created."""
    (tmp_path / "mended").touch()
    running = start(remote, "recover_flow.late", folder=str(tmp_path), x=1)
    with pytest.raises(Exception, match="to have ended"):
        remote.client.recover_execution(running.id, name="no-recovery")
    with pytest.raises(FlyteEntityNotExistException):
        remote.fetch_execution(name="no-recovery")
    remote.terminate(running, "enough")
    unknown = type(running.id)(running.id.project, running.id.domain, "nobody")
    with pytest.raises(FlyteEntityNotExistException):
        remote.client.recover_execution(unknown)
