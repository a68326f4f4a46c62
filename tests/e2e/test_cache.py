"""Cached tasks by the real flytekit: what is reused, and what runs again."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flyteidl.admin import node_execution_pb2
from flyteidl.core import catalog_pb2
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import DOMAIN, PROJECT, VERSION, AnEngine, pyflyte
from tests.e2e.running import array_of, finish, resources_of, run, start

pytestmark = pytest.mark.e2e
SUCCEEDED, ABORTED = 4, 7
_STATUS = catalog_pb2.CatalogCacheStatus
_QUEUED, _RUNNING = 1, 2


def _runs(folder: Path) -> list[str]:
    file = folder / "runs"
    return file.read_text().splitlines() if file.exists() else []


def _node(remote: FlyteRemote, done: Any, node_id: str = "n0") -> Any:
    """Return a node execution as it is on the wire."""
    request = node_execution_pb2.NodeExecutionGetRequest()
    request.id.node_id = node_id
    request.id.execution_id.CopyFrom(done.id.to_flyte_idl())
    return remote.client._stub.GetNodeExecution(request)


def _status(remote: FlyteRemote, done: Any, node_id: str = "n0") -> str:
    metadata = _node(remote, done, node_id).closure.task_node_metadata
    return str(_STATUS.Name(metadata.cache_status)).removeprefix("CACHE_")


def test_another_executions_outputs_are_reused(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """A second execution with the same inputs runs nothing; clients see where from."""
    first = run(remote, "cache_flow.once", folder=str(tmp_path), a=4)
    again = run(remote, "cache_flow.once", folder=str(tmp_path), a=4)
    other = run(remote, "cache_flow.once", folder=str(tmp_path), a=5)

    assert (first.outputs["o0"], again.outputs["o0"], other.outputs["o0"]) == (8, 8, 10)
    assert len(_runs(tmp_path)) == 2
    statuses = [_status(remote, done) for done in (first, again, other)]
    assert statuses == ["POPULATED", "HIT", "POPULATED"]
    assert not again.node_executions["n0"].task_executions
    node = _node(remote, again)
    key = node.closure.task_node_metadata.catalog_key
    assert key.dataset_id.name == "flyte_task-cache_flow.double"
    assert key.dataset_id.version.startswith("1.0-")
    assert key.artifact_tag.name.startswith("flyte_cached-")
    source = key.source_task_execution
    assert source.node_execution_id.execution_id.name == first.id.name
    assert source.task_id.version == VERSION
    assert again.node_executions["n0"].outputs["o0"] == 8


def test_a_later_node_reuses_an_earlier_ones_outputs(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Within one execution the catalog knows what happened a moment ago."""
    done = run(remote, "cache_flow.twice", folder=str(tmp_path), a=1)

    assert (done.outputs["o0"], done.outputs["o1"]) == (2, 2)
    assert len(_runs(tmp_path)) == 1
    assert [_status(remote, done, n) for n in ("n0", "n1")] == ["POPULATED", "HIT"]


def test_ignored_inputs_do_not_count(remote: FlyteRemote, tmp_path: Path) -> None:
    """Inputs that the author leaves out may differ."""
    for note in ("one", "two"):
        run(remote, "cache_flow.ignoring", folder=str(tmp_path), a=1, note=note)
    run(remote, "cache_flow.ignoring", folder=str(tmp_path), a=2, note="two")

    assert len(_runs(tmp_path)) == 2


def test_a_frame_counts_by_its_hash(remote: FlyteRemote, tmp_path: Path) -> None:
    """A frame with a hash of its own is the same wherever it is stored."""
    first = run(remote, "cache_flow.hashed", folder=str(tmp_path), a=1)
    again = run(remote, "cache_flow.hashed", folder=str(tmp_path), a=1)
    other = run(remote, "cache_flow.hashed", folder=str(tmp_path), a=2)

    assert [d.outputs["o0"] for d in (first, again, other)] == [1, 1, 2]
    assert len(_runs(tmp_path)) == 2
    assert _status(remote, again, "n1") == "HIT"


def test_large_inputs_and_outputs(remote: FlyteRemote, tmp_path: Path) -> None:
    """Values that lie in the blob store are found and given as all others."""
    first = run(remote, "cache_flow.large", folder=str(tmp_path), length=20_000)
    again = run(remote, "cache_flow.large", folder=str(tmp_path), length=20_000)

    assert len(_runs(tmp_path)) == 1
    assert _status(remote, again, "n1") == "HIT"
    assert first.outputs["o0"] == again.outputs["o0"] == list(range(20_000))


def test_a_task_without_outputs_runs_each_time(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """There is nothing to keep, and nothing is said of a cache."""
    for _ in range(2):
        done = run(remote, "cache_flow.nothing", folder=str(tmp_path))

    assert len(_runs(tmp_path)) == 2
    assert _status(remote, done) == "DISABLED"


def test_overwriting(remote: FlyteRemote, tmp_path: Path) -> None:
    """An execution may run everything and keep what comes out of it."""
    run(remote, "cache_flow.once", folder=str(tmp_path), a=1)
    plan = remote.fetch_launch_plan(name="cache_flow.once", version=VERSION)
    inputs = {"folder": str(tmp_path), "a": 1}
    over = finish(remote, remote.execute(plan, inputs=inputs, overwrite_cache=True))
    after = run(remote, "cache_flow.once", **inputs)

    assert len(_runs(tmp_path)) == 2
    assert _status(remote, over) == "POPULATED"
    source = _node(remote, after).closure.task_node_metadata.catalog_key
    name = source.source_task_execution.node_execution_id.execution_id.name
    assert name == over.id.name


def test_failures_are_not_kept(remote: FlyteRemote, tmp_path: Path) -> None:
    """A task that failed is run again."""
    for _ in range(2):
        done = run(remote, "cache_flow.unkept", folder=str(tmp_path), a=1)

    assert len(_runs(tmp_path)) == 2
    assert _status(remote, done) == "MISS"


def test_serialized_tasks_run_one_at_a_time(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """Equal tasks started together run once, retries included; the others wait."""
    inputs = {"folder": str(tmp_path), "a": 1, "fails": 1}
    started = [start(remote, "cache_flow.serial", **inputs) for _ in range(3)]
    time.sleep(1)
    phases = [_node(remote, execution).closure.phase for execution in started]
    done = [finish(remote, execution) for execution in started]

    assert [d.outputs["o0"] for d in done] == [1, 1, 1]
    assert len(_runs(tmp_path)) == 2
    assert sorted(phases) == [_QUEUED, _QUEUED, _RUNNING]
    statuses = sorted(_status(remote, d) for d in done)
    assert statuses == ["HIT", "HIT", "POPULATED"]


def test_a_waiting_execution_can_be_terminated(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """An execution that waits for another's outputs ends when it is told to."""
    inputs = {"folder": str(tmp_path), "a": 2, "fails": 0}
    maker, waiter = (start(remote, "cache_flow.serial", **inputs) for _ in range(2))
    time.sleep(0.7)
    remote.terminate(waiter, "enough")

    assert finish(remote, waiter).closure.phase == ABORTED
    assert finish(remote, maker).outputs["o0"] == 2


def test_an_evicted_task_runs_again(
    remote: FlyteRemote, engine: AnEngine, tmp_path: Path
) -> None:
    """`flightlog cache evict` drops cached outputs; new ones are cached again."""
    inputs = {"folder": str(tmp_path), "a": 9}
    run(remote, "cache_flow.once", **inputs)
    task = f"{PROJECT}/{DOMAIN}/cache_flow.double"
    told = engine.flightlog("cache", "evict", task, "--json")
    assert json.loads(told.stdout)["evicted"] >= 1
    rerun = run(remote, "cache_flow.once", **inputs)
    again = run(remote, "cache_flow.once", **inputs)

    assert [_status(remote, done) for done in (rerun, again)] == ["POPULATED", "HIT"]
    assert len(_runs(tmp_path)) == 2


def test_evicting_needs_a_whole_name(engine: AnEngine) -> None:
    """A name without its project is wrong usage, and told so."""
    told = engine.flightlog("cache", "evict", "double")

    assert told.returncode == 2
    assert "Expected a task as project/domain/name" in told.stderr


_FLOW = """
from pathlib import Path
from flytekit import task, workflow

@task(cache=True, cache_version="1.0")
def made(folder: str) -> {kind}:
    with (Path(folder) / "runs").open("a") as file:
        file.write("made\\n")
    return {kind}(1)

@workflow
def changing(folder: str) -> {kind}:
    return made(folder=folder)
"""


def test_another_interface_is_another_cache(
    remote: FlyteRemote, engine: AnEngine, tmp_path: Path
) -> None:
    """A new version reuses outputs while its interface is the same, and else not."""
    statuses = []
    for version, kind in (("w1", "int"), ("w2", "int"), ("w3", "float")):
        (tmp_path / "changing_flow.py").write_text(_FLOW.format(kind=kind))
        done = pyflyte(
            engine, tmp_path, "register", "-p", PROJECT, "-d", DOMAIN,
            "--version", version, "changing_flow.py",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        plan = remote.fetch_launch_plan(name="changing_flow.changing", version=version)
        found = finish(remote, remote.execute(plan, inputs={"folder": str(tmp_path)}))
        statuses.append(_status(remote, found))

    assert statuses == ["POPULATED", "HIT", "POPULATED"]
    assert _runs(tmp_path) == ["made", "made"]


def test_each_element_of_an_array_is_kept(remote: FlyteRemote, tmp_path: Path) -> None:
    """A longer map runs only the items that weren't there before."""
    first = run(remote, "cache_flow.mapped", folder=str(tmp_path), xs=[1, 2, 3])
    again = run(remote, "cache_flow.mapped", folder=str(tmp_path), xs=[3, 4, 1, 2])

    assert list(first.outputs["o0"]) == [2, 4, 6]
    assert list(again.outputs["o0"]) == [6, 8, 2, 4]
    told = [resources_of(remote, array_of(ended)) for ended in (first, again)]
    assert [[_STATUS.Name(r.cache_status) for r in array] for array in told] == [
        ["CACHE_POPULATED"] * 3,
        ["CACHE_HIT", "CACHE_POPULATED", "CACHE_HIT", "CACHE_HIT"],
    ]
    assert [r.phase for r in told[1]] == [3] * 4
    assert len(_runs(tmp_path)) == 4


def test_equal_elements_of_a_serialized_map_run_once(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """One makes the outputs, at its second try; the others wait and have them."""
    done = run(remote, "cache_flow.serial_map", folder=str(tmp_path), xs=[7, 7, 7])

    assert list(done.outputs["o0"]) == [7, 7, 7]
    told = resources_of(remote, array_of(done))
    statuses = sorted(_STATUS.Name(r.cache_status) for r in told)
    assert statuses == ["CACHE_HIT", "CACHE_HIT", "CACHE_POPULATED"]
    assert len(_runs(tmp_path)) == 2


def test_overwriting_holds_for_each_element(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """All items are run again, and kept again."""
    inputs = {"folder": str(tmp_path), "xs": [1, 2]}
    run(remote, "cache_flow.mapped", **inputs)
    plan = remote.fetch_launch_plan(name="cache_flow.mapped", version=VERSION)
    over = finish(remote, remote.execute(plan, inputs=inputs, overwrite_cache=True))

    told = resources_of(remote, array_of(over))
    assert [_STATUS.Name(r.cache_status) for r in told] == ["CACHE_POPULATED"] * 2
    assert len(_runs(tmp_path)) == 4
