"""Elements of arrays: what each is given, and what can't be an element (ref §5.7)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2, workflow_pb2
from msgspec.structs import replace

from domain.decider import Send
from domain.execution.context import Limits
from schemas.ids import ParentNode
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import ErrorKind, Failure, Values
from tests.support.cache_lookups import miss
from tests.support.engine import Engine, created, names, success
from tests.support.graphs import (
    array_node,
    cached_template,
    definition,
    integer,
    lists,
    promise,
    task_node,
    task_template,
    values,
    workflow,
    workflow_node,
)

ITEMS = workflow_pb2.ArrayNode.INDIVIDUAL_INPUT_FILES


def begun(*nodes: Any, inputs: bytes, output: str = "n0", **options: Any) -> Engine:
    """Return an execution of these nodes over the given inputs, begun."""
    tasks = options.pop("tasks", [task_template("m"), task_template()])
    graph = definition(nodes, output, tasks=tasks, **options)
    engine = Engine(graph, replace(created(), inputs=Values(inline=inputs)))
    engine.begin()
    return engine


def mixed() -> bytes:
    """Return a list of two items, and a number."""
    inputs = literals_pb2.LiteralMap.FromString(lists(x=[5, 6]))
    inputs.literals["y"].CopyFrom(integer(9))
    return inputs.SerializeToString(deterministic=True)


def with_number(**settings: Any) -> Any:
    """Return an array over x whose second input is the number y."""
    node = array_node("n0", "", **settings)
    node.inputs.append(promise("y", ""))
    node.inputs[1].binding.promise.var = "y"
    return node


def test_only_tasks_and_launch_plans_can_be_elements() -> None:
    """An array of sub-workflows is refused when it begins, as the author's mistake."""
    node = array_node("n0", "")
    reference = workflow_node("n0").workflow_node
    node.array_node.node.workflow_node.CopyFrom(reference)
    sub = workflow("sub", [task_node("n0")], "n0")
    engine = begun(node, inputs=lists(x=[1]), subs=[sub])

    failure = engine.state.failure
    assert failure is not None
    assert (failure.code, failure.kind) == ("Unimplemented", ErrorKind.USER)
    assert "an array of tasks or launch plans, but got 'workflow'" in failure.message


def test_a_bound_input_is_given_to_each_element_as_it_is() -> None:
    """Only inputs that aren't bound are split into their items."""
    node = with_number(data_mode=ITEMS, bound_inputs=["y"])
    engine = begun(node, inputs=mixed())

    assert [run.inputs.inline for run in engine.runs()] == [
        values(x=5, y=9),
        values(x=6, y=9),
    ]
    assert [run.array_index for run in engine.runs()] == [-1, -1]


def test_an_input_that_has_no_items_fails_each_element() -> None:
    """A number that isn't bound can't be split: the failure names the input."""
    engine = begun(with_number(data_mode=ITEMS), inputs=mixed())

    assert not engine.runs()
    failure = engine.state.failure
    assert failure is not None
    assert failure.code == "BindingResolutionFailure"
    assert "Expected to resolve input 'y'" in failure.message


@pytest.mark.parametrize("own", [True, False])
def test_an_element_is_looked_up_by_its_own_items(*, own: bool) -> None:
    """Whether or not its task is given the lists, the key is made of its items."""
    mode = ITEMS if own else workflow_pb2.ArrayNode.SINGLE_INPUT_FILE
    node = array_node("n0", "", data_mode=mode)
    engine = begun(node, inputs=lists(x=[5, 6]), tasks=[cached_template("m")])
    asked = [m for m in engine.sent if isinstance(m, d.LookUpCache)]

    if own:
        assert [m.inputs.inline for m in asked] == [values(x=5), values(x=6)]
        assert [m.bindings for m in asked] == [(), ()]
    else:
        assert {m.inputs.inline for m in asked} == {lists(x=[5, 6])}
        steps = [literals_pb2.Binding.FromString(*m.bindings) for m in asked]
        path = [b.binding.promise.attr_path[0].int_value for b in steps]
        assert path == [0, 1]
    engine.do(miss(asked[1]))
    assert [run.node_id for run in engine.runs()] == ["n0-0-n1"]


def test_lists_that_are_too_large_together_are_gathered_by_a_runner() -> None:
    """Small outputs make a large list where most elements have none."""
    node = array_node("n0", "", min_success_ratio=0.05)
    engine = begun(node, inputs=lists(x=[1] * 10))
    engine.limits = Limits(inline_bytes=len(values(o0=1)))
    for index in range(9):
        engine.fail(f"n0-0-n{index}")

    assert names(engine.succeed("n0-0-n9"))[-1] == "ArrayGathering"
    assert isinstance(engine.sent[-1], d.GatherOutputs)


def test_lists_gathered_for_what_is_over_change_nothing() -> None:
    """A late report, and one of an array that gathers nothing, have no effect."""
    engine = begun(array_node("n0", ""), inputs=lists(x=[1, 2]))
    outputs = Values(inline=lists(o0=[3, 4]))
    report = c.ReportOutputsGathered(node_id="n0", attempt=0, outputs=outputs)

    assert engine.do(report) == []
    assert engine.do(replace(report, attempt=1)) == []
    assert engine.do(replace(report, node_id="n9")) == []
    for index in range(2):
        run = engine.run_of(f"n0-0-n{index}")
        engine.do(replace(success(run), outputs=Values(uri="b", size=99)))
    assert engine.do(replace(report, attempt=1)) == []
    engine.do(report)
    assert engine.state.outputs == outputs
    assert engine.do(report) == []


def test_a_child_that_is_an_element_reports_to_it() -> None:
    """Each child has its element as parent, and fails it by its own failure."""
    node = array_node("n0", "", launch_plan="lp")
    engine = begun(node, inputs=lists(x=[5, 6]))
    sent = [m.command for m in engine.sent if isinstance(m, Send)]
    parents = [m.parent for m in sent if isinstance(m, c.CreateExecution)]
    assert all(isinstance(parent, ParentNode) for parent in parents)
    assert [p.node_id for p in parents if p] == ["n0-0-n0", "n0-0-n1"]
    inner = Failure(code="Inner", message="m", kind=ErrorKind.SYSTEM)
    engine.do(
        c.ReportChild(
            node_id="n0-0-n1", attempt=0, child="p/d/x", phase="FAILED", failure=inner
        )
    )

    failure = engine.state.failure
    assert failure is not None
    assert (failure.code, failure.kind) == ("Inner", ErrorKind.SYSTEM)
    assert "[1]: m" in failure.message
