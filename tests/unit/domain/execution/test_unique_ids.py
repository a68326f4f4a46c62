"""Ids of nodes: no two nodes of an execution share one, however their names fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from domain.execution.state.snapshot_chunks import (
    Layout,
    decode_chunks,
    encode_chunks,
    encode_head,
)
from domain.graph import Definition
from domain.snapshots import ChunkLimits
from schemas.ids import node_unique_id
from schemas.levels import EXECUTION_RULES
from schemas.messages import execution_events as e
from schemas.values import Values
from tests.support.engine import Engine, created
from tests.support.graphs import (
    array_node,
    branch_node,
    definition,
    given_node,
    lists,
    task_node,
    task_template,
    workflow,
    workflow_node,
)

ALIKE = "load-table-of-region-412789", "load-table-of-region-649192"
"""Two names whose 32-bit hashes are equal."""


def _run_all(engine: Engine) -> dict[str, int]:
    """Run every task once, each with an output of its own; return these by id."""
    outputs: dict[str, int] = {}
    while open_runs := [run for run in engine.runs() if run.node_id not in outputs]:
        outputs[open_runs[0].node_id] = value = len(outputs) + 10
        engine.succeed(open_runs[0].node_id, value)
    return outputs


def _sites(engine: Engine) -> list[tuple[str, str, str]]:
    return [(n.site.scope, n.site.parent_id, n.site.spec_node_id)
            for n in engine.state.nodes.values()]  # fmt: skip


def _hashed_alike() -> tuple[Definition, int]:
    first, second = ALIKE
    nodes = [given_node(first), given_node(second), task_node("n2", first, second)]
    return definition(nodes, "n2"), 3


def _hashed_alike_in_two_scopes() -> tuple[Definition, int]:
    first, second = ALIKE
    inner = workflow("sub", [given_node(second)], second)
    nodes = [given_node(first), workflow_node("s"), task_node("n2", first, "s")]
    return definition(nodes, "n2", subs=[inner]), 3


def _named_as_a_nested_node() -> tuple[Definition, int]:
    inner = workflow("sub", [task_node("n1", "")], "n1")
    nodes = [workflow_node("s"), given_node("s-0-n1"), task_node("n2", "s", "s-0-n1")]
    return definition(nodes, "n2", subs=[inner]), 3


def _named_as_an_arm() -> tuple[Definition, int]:
    branch = branch_node("b", "", task_node("n1", ""), task_node("n1x", ""))
    nodes = [given_node("b-0-n1x"), branch, task_node("n2", "b", "b-0-n1x")]
    return definition(nodes, "n2"), 3


def _named_as_a_hash() -> tuple[Definition, int]:
    name = ALIKE[0]
    taken = node_unique_id("", 0, name)
    nodes = [given_node(taken), given_node(name), task_node("n2", taken, name)]
    return definition(nodes, "n2"), 3


CASES = [
    _hashed_alike, _hashed_alike_in_two_scopes, _named_as_a_nested_node,
    _named_as_an_arm, _named_as_a_hash,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_node_runs_by_itself(case: Any) -> None:
    """Each task runs once, its outputs go where they belong, the execution ends."""
    graph, tasks = case()
    engine = Engine(graph, created())
    engine.begin()

    outputs = _run_all(engine)

    assert engine.state.phase == "SUCCEEDED"
    assert len(outputs) == tasks
    assert not engine.state.active
    assert len(set(_sites(engine))) == len(engine.state.nodes)
    paths = {run.output_path for run in engine.runs()}
    raw = {run.raw_output_prefix for run in engine.runs()}
    assert len(paths) == len(raw) == tasks


@pytest.mark.parametrize("case", CASES)
def test_a_state_from_snapshots_goes_on_with_the_same_ids(case: Any) -> None:
    """Which id a node has follows from the nodes, in whatever order these are read."""
    graph, tasks = case()
    engine = Engine(graph, created())
    engine.begin()
    engine.succeed(engine.runs()[0].node_id, 10)
    layout, chunks = encode_chunks(Layout(), engine.state, 1, ChunkLimits(items_max=1))
    bodies = {chunk.number: (1, chunk.body) for chunk in reversed(chunks)}
    head = encode_head(engine.state)
    engine.state, _ = decode_chunks(head, layout.written, bodies)

    while open_runs := [
        run
        for run in engine.runs()
        if not engine.state.nodes[run.node_id].is_terminal
    ]:  # fmt: skip
        engine.succeed(open_runs[0].node_id, 10)

    assert engine.state.phase == "SUCCEEDED"
    assert len({run.node_id for run in engine.runs()}) == tasks


@pytest.mark.parametrize("sequence", [["n0", "n0-0-n1"], ["n0-0-n1", "n0"]])
def test_a_node_named_as_an_element_is_another(sequence: Sequence[str]) -> None:
    """An array's element and a node of its name run both, and both are gathered."""
    found = {"n0": array_node("n0", ""), "n0-0-n1": given_node("n0-0-n1")}
    tasks = task_template("m"), task_template()
    graph = definition([found[name] for name in sequence], "n0", tasks=tasks)
    engine = Engine(graph, replace(created(), inputs=Values(inline=lists(x=[1, 2, 3]))))
    engine.begin()

    assert len(_run_all(engine)) == 4
    assert engine.state.phase == "SUCCEEDED"


def test_ids_are_the_short_ones_where_these_are_free() -> None:
    """Only a collision lengthens an id, and it stays within 20 letters."""
    graph, _ = _hashed_alike()
    engine = Engine(graph, created())
    engine.begin()

    first, second = engine.runs()

    assert first.node_id == node_unique_id("", 0, ALIKE[0])
    assert second.node_id != first.node_id
    assert len(second.node_id) <= 20


@pytest.mark.parametrize("level", [0, 1])
def test_an_execution_of_an_older_level_goes_on_by_the_old_rule(level: int) -> None:
    """Processes that know nothing of longer ids may take it over at any time."""
    graph, _ = _hashed_alike()
    engine = Engine(graph, created())
    engine.format_level = level
    engine.begin()
    first = engine.events[0]
    assert isinstance(first, e.ExecutionCreated)

    assert first.rules == 0
    assert {run.node_id for run in engine.runs()} == {node_unique_id("", 0, ALIKE[0])}


def test_new_executions_record_the_rules_that_they_began_by() -> None:
    """A later version can then tell them apart."""
    engine = Engine(_hashed_alike()[0], created())
    engine.begin()
    first = engine.events[0]

    assert isinstance(first, e.ExecutionCreated)
    assert first.rules == EXECUTION_RULES
