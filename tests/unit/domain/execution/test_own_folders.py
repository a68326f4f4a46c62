"""Folders: no two executions or attempts share one, whatever they are called."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from domain.execution.state.saved_nodes import attempt_raw_outputs
from schemas.ids import ExecutionRef, checkpoint_path
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from tests.support.engine import CREATE, Engine, created
from tests.support.graphs import (
    definition,
    task_node,
    task_template,
    workflow,
    workflow_node,
)

PAIRS = [
    (("p", "development", "run"), ("p", "production", "run")),
    (("p", "d", "run"), ("q", "d", "run")),
    (("x", "development", "staging-y"), ("x-development", "staging", "y")),
]


def _engine(project: str, domain: str, name: str, level: int = 2) -> Engine:
    graph = definition([task_node("n0", "")], "n0", tasks=[task_template(retries=1)])
    ref = ExecutionRef(project=project, domain=domain, name=name)
    engine = Engine(graph, replace(created(), execution=ref))
    engine.format_level = level
    create = replace(CREATE, project=project, domain=domain, name=name)
    engine.do(create, command_id="create")
    return engine


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_executions_share_no_folder(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    """Not for inputs, outputs, raw outputs or checkpoints."""
    first, second = (_engine(*ref).run_of("n0") for ref in (one, other))

    assert first.input_path != second.input_path
    assert first.output_path != second.output_path
    assert first.raw_output_prefix != second.raw_output_prefix


def test_an_attempt_and_one_of_a_child_share_no_folder() -> None:
    """A child is named after its parent's node: attempts of both may be named alike."""
    inner = Engine(
        definition([task_node("n0-0-n1", "")], "n0-0-n1"),
        replace(created(), execution=ExecutionRef(project="p", domain="d", name="run")),
    )
    inner.do(replace(CREATE, name="run"), command_id="create")
    child = Engine(
        definition([task_node("n1", "")], "n1"),
        replace(
            created(), execution=ExecutionRef(project="p", domain="d", name="run-n0-0")
        ),
    )
    child.do(replace(CREATE, name="run-n0-0"), command_id="create")
    one, other = inner.run_of("n0-0-n1"), child.run_of("n1")

    assert one.generated_name == other.generated_name
    assert one.raw_output_prefix != other.raw_output_prefix


@pytest.mark.parametrize("level", [0, 2])
def test_all_that_derive_a_prefix_find_the_same(level: int) -> None:
    """The propeller, a recovery and the sweeper derive it, each by itself."""
    engine = _engine("p", "d", "run", level)
    engine.fail("n0", recoverable=True)
    first = engine.events[0]
    assert isinstance(first, e.ExecutionCreated)
    queued = [event for event in engine.events if isinstance(event, ne.TaskQueued)]
    runs = engine.runs()

    assert [attempt_raw_outputs(first, event) for event in queued] == [
        run.raw_output_prefix for run in runs
    ]
    assert runs[1].previous_checkpoint == checkpoint_path(runs[0].raw_output_prefix)


def test_an_older_execution_keeps_its_folders() -> None:
    """Its next attempt continues from a checkpoint that lies there."""
    run = _engine("p", "d", "run", 0).run_of("n0")

    assert run.raw_output_prefix.endswith("/run-n0-0")
    assert run.input_path == "metadata/propeller/p-d-run/n0/data/inputs.pb"
    assert run.output_path == "metadata/propeller/p-d-run/n0/data/0"


def _nested(level: int) -> Engine:
    """Return an execution whose sub-workflow has a task, at its second attempt."""
    inner = workflow("sub", [task_node("n1", "")], "n1")
    engine = Engine(
        definition(
            [workflow_node("s")], "s", tasks=[task_template(retries=1)], subs=[inner]
        ),
        created(),
    )
    engine.format_level = level
    engine.begin()
    engine.fail("s-0-n1", recoverable=True)
    return engine


@pytest.mark.parametrize(
    ("level", "expected"),
    [(0, "s/data/0/n1/1"), (2, "s-0-n1.1")],
)
def test_nodes_of_a_sub_workflow_lie_in_the_executions_folder(
    level: int, expected: str
) -> None:
    """By older rules they lie in folders of what contains them."""
    run = _nested(level).run_of("s-0-n1")

    assert run.output_path == f"metadata/propeller/p-d-main-1/{expected}"


def test_all_data_of_an_execution_lies_in_one_folder() -> None:
    """An attempt is told apart by what begins with a dot, which is in no id."""
    run = _engine("p", "d", "run").run_of("n0")
    folder = "metadata/propeller/p-d-run"

    assert run.input_path == f"{folder}/n0/inputs.pb"
    assert run.output_path == f"{folder}/n0.0"
