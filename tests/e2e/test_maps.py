"""Maps over values of every shape, their limits, and what becomes of processes."""

from __future__ import annotations

import dataclasses
import importlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flytekit.remote import FlyteRemote

from infra.setting_sections.processes import ProcessSettings
from tests.e2e.running import array_of, finish, resources_of, run, start

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED, ABORTED = 4, 6, 7
TASK_SUCCEEDED, TASK_FAILED, TASK_ABORTED = 3, 5, 4
AT_ONCE = ProcessSettings().concurrency
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def plain(value: Any) -> Any:
    """Return a value that compares, whatever class the client guessed for it."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return dataclasses.asdict(value)
    return value


@pytest.mark.parametrize(
    ("name", "inputs", "kind"),
    [
        ("over_dataclasses", {"n": 3}, None),
        ("over_files", {"texts": ["a", "", "ä" * 30]}, list[str]),
        ("nested", {"xs": [2, 0, 3]}, list[list[int]]),
        ("nested", {"xs": []}, list[list[int]]),
        ("nested_inputs", {"xs": [2, 0, 3]}, list[int]),
        ("dicts", {"xs": [1, 2]}, list[dict[str, int]]),
        ("optionals", {"xs": [1, 2, 3]}, list[int | None]),
        ("bound_by_workflow", {"xs": [1, 2], "b": 7}, list[int]),
        ("pairs", {"xs": [1, 2], "ys": [3, 4]}, list[int]),
        ("in_sub_workflow", {"xs": [1, 2]}, list[int]),
        ("in_branch", {"xs": [1, 2, 3]}, list[int]),
        ("in_branch", {"xs": [1]}, list[int]),
        (
            "times",
            {"ats": [AT, AT + timedelta(days=1)], "by": timedelta(hours=1)},
            list[datetime],
        ),
    ],
)
def test_values_are_those_of_local_execution(
    remote: FlyteRemote, project: Path, name: str, inputs: dict[str, Any], kind: Any
) -> None:
    """Each flow yields what it yields on the author's machine."""
    del project
    flow = importlib.import_module("maps_flow")
    local = getattr(flow, name)(**inputs)
    done = run(remote, f"maps_flow.{name}", **inputs)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    kind = kind or list[flow.Point]
    assert plain(done.outputs.get("o0", as_type=kind)) == plain(local)


def test_lists_of_different_lengths(remote: FlyteRemote) -> None:
    """There is no telling which items belong together: the author's mistake."""
    done = run(remote, "maps_flow.pairs", xs=[1, 2], ys=[3])

    assert done.closure.phase == FAILED
    assert done.closure.error.code == "InvalidArrayLength"
    assert "'a' 2" in done.closure.error.message
    assert not array_of(done).task_executions


def test_a_number_of_successes_is_enough(remote: FlyteRemote) -> None:
    """Flytekit's local execution puts None there only where a ratio is told."""
    done = run(remote, "maps_flow.two_successes", xs=[1, 2, 3])

    assert done.outputs.get("o0", as_type=list[int | None]) == [1, None, 3]


def test_children_that_fail_are_none(remote: FlyteRemote) -> None:
    """A launch plan's failing subset stands in the list as None."""
    done = run(remote, "maps_flow.some_children", xs=[1, 2, 3])

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs.get("o0", as_type=list[int | None]) == [1, None, 3]
    phases = [r.phase for r in resources_of(remote, array_of(done))]
    assert phases == [TASK_SUCCEEDED, TASK_FAILED, TASK_SUCCEEDED]


def test_too_many_children_that_fail(remote: FlyteRemote) -> None:
    """The array's error contains the child's."""
    done = run(remote, "maps_flow.too_few_children", xs=[1, 2, 3])

    assert done.closure.phase == FAILED
    assert "2 is even" in done.closure.error.message


@pytest.mark.parametrize(
    ("name", "most"), [("one_at_a_time", 1), ("all_at_once", min(4, AT_ONCE))]
)
def test_how_many_run_at_once(
    remote: FlyteRemote, tmp_path: Path, name: str, most: int
) -> None:
    """Concurrency bounds it; else as many as the engine's processes."""
    inputs = {"xs": [1, 2, 3, 4], "folder": str(tmp_path), "seconds": 0.4}
    done = run(remote, f"maps_flow.{name}", **inputs)

    assert done.outputs["o0"] == [1, 2, 3, 4]
    counted = map(int, (tmp_path / "at_once").read_text().split())
    assert max(counted) == most


def test_each_element_has_a_time_limit_of_its_own(
    remote: FlyteRemote, tmp_path: Path
) -> None:
    """One that takes too long is tried again, then missing; the others stand."""
    done = run(remote, "maps_flow.limited", xs=[1, 2, 3], folder=str(tmp_path))

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs.get("o0", as_type=list[int | None]) == [1, None, 3]
    told = resources_of(remote, array_of(done))
    assert [r.retry_attempt for r in told] == [0, 1, 0]
    assert [r.phase for r in told] == [TASK_SUCCEEDED, TASK_FAILED, TASK_SUCCEEDED]
    tries = [len((tmp_path / f"tries-{a}").read_text()) for a in (1, 2, 3)]
    assert tries == [1, 2, 1]


def test_terminate_reaches_every_element(remote: FlyteRemote, tmp_path: Path) -> None:
    """Processes that ran are gone, those that waited never run."""
    execution = start(
        remote, "maps_flow.all_at_once",
        xs=list(range(6)), folder=str(tmp_path), seconds=60.0,
    )  # fmt: skip
    began = min(6, AT_ONCE)
    pids = _pids(tmp_path, began)
    remote.terminate(execution, cause="enough")
    done = finish(remote, execution)

    assert done.closure.phase == ABORTED
    assert [r.phase for r in resources_of(remote, array_of(done))] == [TASK_ABORTED] * 6
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until, "processes outlive their execution"
        time.sleep(0.05)
    time.sleep(0.5)
    assert len(list(tmp_path.glob("*.pid"))) == began
    assert not list(tmp_path.glob("*.done"))


def _pids(folder: Path, count: int) -> list[int]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = [file.read_text() for file in folder.glob("*.pid")]
        if len([text for text in found if text]) == count:
            return [int(text) for text in found]
        time.sleep(0.05)
    raise AssertionError(f"Expected {count} processes to begin")
