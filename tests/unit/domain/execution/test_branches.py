"""Branches and sub-workflows: what runs inside a node, and ends it."""

from __future__ import annotations

import pytest

from schemas.messages import node_events as ne
from schemas.values import Values
from tests.support.engine import (
    Engine,
    created,
)
from tests.support.graphs import (
    branch_node,
    definition,
    task_node,
    values,
    workflow,
    workflow_node,
)


def test_a_sub_workflow_runs_inside() -> None:
    """Its nodes have ids of their own, its end is the node's end."""
    sub = workflow("sub", [task_node("n0")], "n0")
    nodes = [workflow_node("n0"), task_node("n1", "n0")]
    engine = Engine(definition(nodes, "n1", subs=[sub]), created())
    engine.begin()

    assert engine.phase("n0") == "RUNNING"
    engine.succeed("n0-0-n0", 5)
    assert engine.phase("n0") == "SUCCEEDED"
    assert engine.run_of("n1").inputs == Values(inline=values(x=5))


def test_a_failure_inside_a_sub_workflow_fails_what_holds_it() -> None:
    """The inner failure carries up to the execution."""
    sub = workflow("sub", [task_node("n0"), task_node("n1")], "n0")
    engine = Engine(definition([workflow_node("n0")], "n0", subs=[sub]), created())
    engine.begin()
    engine.fail("n0-0-n1")

    assert engine.phase("n0-0-n0") == "ABORTED"
    assert engine.phase("n0") == "FAILED"
    assert engine.state.phase.value == "FAILED"


@pytest.mark.parametrize(("x", "arm"), [(9, "b-big"), (1, "b-small")])
def test_a_branch_runs_one_arm(x: int, arm: str) -> None:
    """The operands are recorded, the arm's outputs are the branch's."""
    node = branch_node("b", "", task_node("b-big"), task_node("b-small"))
    engine = Engine(definition([node], "b"), created(x))
    engine.begin()

    decided = [m for m in engine.events if isinstance(m, ne.BranchDecided)]
    assert [(m.chosen, m.operands) for m in decided] == [(arm, values(x=x))]
    engine.succeed(f"b-0-{arm}", 3)
    assert engine.phase("b") == "SUCCEEDED"
    assert engine.state.outputs == Values(inline=values(o0=3))


def test_an_arm_waits_for_its_own_upstream() -> None:
    """An arm that uses another node's output waits for that one after the decision."""
    arm = task_node("b-big", "n0")
    nodes = [task_node("n0"), branch_node("b", "", arm, None)]
    engine = Engine(definition(nodes, "b"), created(9))
    engine.begin()

    assert engine.phase("b") == "RUNNING"
    assert engine.phase("b-0-b-big") == ""
    engine.succeed("n0", 4)
    assert engine.run_of("b-0-b-big").inputs == Values(inline=values(x=4))


def test_a_branch_fails_with_what_its_arm_waits_for() -> None:
    """An arm that can't run any more ends its branch, so that nothing stays open."""
    nodes = [task_node("n0"), branch_node("b", "", task_node("b-big", "n0"), None)]
    engine = Engine(definition(nodes, "b", fail_late=True), created(9))
    engine.begin()
    engine.fail("n0")

    assert engine.phase("b-0-b-big") == "SKIPPED"
    assert engine.phase("b") == "FAILED"
    assert engine.state.phase.value == "FAILED"


def test_a_branch_without_a_fitting_arm_fails() -> None:
    """The author's own words are the error."""
    node = branch_node("b", "", task_node("b-big"), None)
    engine = Engine(definition([node], "b"), created(1))
    engine.begin()

    failure = engine.state.failure
    assert failure is not None
    assert (failure.code, failure.message) == ("UserProvidedError", "none fits")
