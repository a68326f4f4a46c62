"""Values of every type arrive as flytekit's own local execution would give them."""

from __future__ import annotations

import typing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from flytekit.remote import FlyteRemote
from flytekit.types.file import FlyteFile

from tests.e2e.running import finish, run

pytestmark = pytest.mark.e2e
PHASE_SUCCEEDED = 4


def test_plain_values_and_defaults(remote: FlyteRemote) -> None:
    """Defaults of the workflow are used where nothing is given."""
    done = run(remote, "types_flow.plain", i=41)

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    out = [done.outputs[f"o{i}"] for i in range(6)]
    assert out[:4] == [42, 3.0, "hi!", False]
    assert out[4].replace(tzinfo=UTC) == datetime(2026, 1, 2, tzinfo=UTC)
    assert out[5] == timedelta(hours=2)


def test_optionals_and_unions(remote: FlyteRemote) -> None:
    """Nothing stays nothing; a union's other variant comes back."""
    done = run(remote, "types_flow.optionals")

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert done.outputs.get("o0", as_type=typing.Optional[int]) is None  # noqa: UP045 - as users write it
    assert done.outputs.get("o1", as_type=typing.Union[int, str]) == 3  # noqa: UP007 - as users write it


def test_collections_nested_and_empty(remote: FlyteRemote) -> None:
    """Lists and dicts, nested ones and empty ones."""
    done = run(
        remote,
        "types_flow.collections",
        xs=[1, 2],
        d={"a": 1},
        n={"k": [{"x": 1}, {"y": 2}], "l": []},
    )

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == [1, 2, 2]
    assert done.outputs["o1"] == {"a": 1, "n": 1}
    assert done.outputs["o2"] == [[1, 2], []]
    assert done.outputs["o3"] == []
    assert done.outputs["o4"] == {}


def test_objects_and_their_attributes(remote: FlyteRemote) -> None:
    """Dataclass, pydantic model, enum, and a nested attribute as another's input."""
    import types_flow as flows

    given = flows.Outer(name="n", inner=flows.Inner(n=4), tags=["a"])
    done = run(
        remote, "types_flow.objects", o=given, m=flows.Model(a=1), c=flows.Color.RED
    )

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    out = done.outputs.get("o0", as_type=flows.Outer)
    assert out == flows.Outer(name="N", inner=flows.Inner(n=5), tags=["a", "t"])
    assert done.outputs.get("o1", as_type=flows.Model) == flows.Model(a=2, b="none")
    assert done.outputs.get("o2", as_type=flows.Color) == flows.Color.BLUE
    assert (done.outputs["o3"], done.outputs["o4"]) == (5, "5")


def test_moments_in_objects(remote: FlyteRemote) -> None:
    """A dataclass's moment and duration arrive as such."""
    done = run(remote, "types_flow.moments", v=datetime(2026, 1, 1, 5, tzinfo=UTC))

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert done.outputs["o0"].replace(tzinfo=UTC) == datetime(2026, 1, 2, 5, tzinfo=UTC)
    assert done.outputs["o1"] == timedelta(hours=3)


def test_files_and_directories(remote: FlyteRemote, tmp_path: Path) -> None:
    """A local file goes up with the inputs, results can be downloaded."""
    source = tmp_path / "in.txt"
    source.write_text("hello")
    done = run(remote, "types_flow.files", v=FlyteFile(str(source)))

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert Path(done.outputs["o0"].download()).read_text() == "HELLO"
    assert done.outputs["o1"] == 12


def test_data_frames(remote: FlyteRemote) -> None:
    """A DataFrame comes back as one."""
    done = run(remote, "types_flow.frames", n=4)

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert done.outputs["o1"] == 6
    assert list(done.outputs.get("o0", as_type=pd.DataFrame)["x"]) == [0, 1, 2, 3]


def test_pickles(remote: FlyteRemote) -> None:
    """What only pickle knows passes from task to task; the engine never opens it."""
    done = run(remote, "types_flow.pickles", n=9)

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 9


def test_five_megabytes_between_tasks(remote: FlyteRemote) -> None:
    """A large output travels by reference."""
    done = run(remote, "types_flow.big", n=5_000_000)

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 5_000_000


def test_five_megabytes_in_and_out(remote: FlyteRemote) -> None:
    """A large input and output of the whole execution."""
    done = run(remote, "types_flow.big_through", s="y" * 5_000_000)

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert len(done.outputs["o0"]) == 5_000_001
    assert done.outputs["o1"] == 5_000_000


def test_a_single_task(remote: FlyteRemote) -> None:
    """A task alone can be executed (ref §2.4)."""
    task = remote.fetch_task(name="types_flow.t_int", version="v1")
    done = finish(remote, remote.execute(task, inputs={"v": 4}))

    assert done.closure.phase == PHASE_SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == 5
