"""Maps of other authors, by the real flytekit."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from flytekit.remote import FlyteRemote

from tests.e2e.running import array_of, resources_of, run

pytestmark = pytest.mark.e2e
SUCCEEDED = 4


@pytest.mark.parametrize(
    ("name", "inputs", "kind"),
    [
        ("defaults", {"xs": [1, 2]}, list[int]),
        ("bound_by_promise", {"xs": [1, 2]}, list[int]),
        ("frames", {"xs": [1, 0, 3]}, list[int]),
        ("folders", {"xs": [1, 3]}, list[int]),
        ("optional_inputs", {"xs": [1, None]}, list[str]),
        ("unions", {"xs": [1, "a"]}, list[int | str]),
        ("pickles", {"xs": [4, 5]}, list[int]),
    ],
)
def test_values_are_those_of_local_execution(
    remote: FlyteRemote, project: Path, name: str, inputs: dict[str, Any], kind: Any
) -> None:
    """Each flow yields what it yields on the author's machine."""
    del project
    local = getattr(importlib.import_module("maps_more_flow"), name)(**inputs)
    done = run(remote, f"maps_more_flow.{name}", **inputs)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs.get("o0", as_type=kind) == local


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("outlived", {"xs": [1, 2]}, [1, 2]),
        ("overridden", {"xs": [1, 2]}, [1, 2]),
        ("maps_of_maps", {"xss": [[1, 2], [3]]}, [[1, 2], [6]]),
        ("fixed", {"xss": [[1, 2], []]}, [[10, 20], []]),
        ("no_plans", {"xss": []}, []),
    ],
)
def test_values_where_local_execution_knows_none(
    remote: FlyteRemote, name: str, inputs: dict[str, Any], expected: Any
) -> None:
    """Processes that die, overrides, and plans, which local execution doesn't map."""
    done = run(remote, f"maps_more_flow.{name}", **inputs)

    assert done.closure.phase == SUCCEEDED, done.closure.error
    assert done.outputs["o0"] == expected


def test_enums(remote: FlyteRemote, project: Path) -> None:
    """Items of a list of an author's own type."""
    del project
    flow = importlib.import_module("maps_more_flow")
    done = run(
        remote,
        "maps_more_flow.enums",
        colours=[flow.Colour.RED.value, flow.Colour.BLUE.value],
    )

    assert done.outputs["o0"] == ["RED", "BLUE"]


def test_a_systems_retry_of_an_element_is_its_own(remote: FlyteRemote) -> None:
    """A process that was killed is run again; the others ran once."""
    done = run(remote, "maps_more_flow.outlived", xs=[1, 2, 3])

    assert [r.retry_attempt for r in resources_of(remote, array_of(done))] == [0, 1, 0]
