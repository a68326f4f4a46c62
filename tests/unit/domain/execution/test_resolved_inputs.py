"""Inputs that the engine cannot resolve itself: a runner reads them."""

from __future__ import annotations

import pytest
from flyteidl.core import interface_pb2, literals_pb2
from msgspec.structs import replace

from schemas.levels import FORMAT_LEVEL
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import Failure, Values
from tests.support.engine import (
    Engine,
    begun_chain,
    created,
    names,
    success,
)
from tests.support.graphs import (
    INT,
    branch_node,
    definition,
    integer,
    promise,
    task_node,
    task_template,
    values,
)
from tests.support.literals import MOMENT


def test_offloaded_outputs_are_resolved_outside() -> None:
    """A node that needs a value by reference isn't shown until it is resolved."""
    engine = begun_chain(2)
    run = engine.run_of("n0")
    report = success(run)
    big = Values(uri="blob", digest="1", size=10**6)
    engine.do(replace(report, outputs=big))

    resolve = engine.sent[-1]
    assert isinstance(resolve, d.ResolveInputs)
    assert resolve.sources == (d.SourceValues(node_id="n0", values=big),)
    resolved = c.ReportInputsResolved(
        node_id="n1", attempt=0, inputs=Values(inline=values(x=2))
    )
    assert names(engine.do(resolved)) == ["NodeQueued", "TaskQueued"]
    assert engine.do(resolved) == []


def test_inputs_that_cannot_be_resolved_fail_the_node() -> None:
    """The failure of the resolution is the node's."""
    engine = begun_chain(2)
    report = success(engine.run_of("n0"))
    big = Values(uri="blob", digest="1", size=10**6)
    engine.do(replace(report, outputs=big))
    lost = Failure(code="BindingResolutionFailure", message="gone", kind="SYSTEM")
    engine.do(c.ReportResolutionFailed(node_id="n1", attempt=0, failure=lost))

    assert engine.state.failure == lost


def test_inputs_too_large_for_an_event_are_offloaded_by_a_runner() -> None:
    """Many small values make large inputs: those go by reference as well."""
    wide = task_node("n1", after=("n0",))
    del wide.inputs[:]
    items = wide.inputs.add(var="x").binding.collection.bindings
    for _ in range(40):
        items.add().promise.CopyFrom(promise("x", "n0").binding.promise)
    engine = Engine(definition([task_node("n0"), wide], "n1"), created())
    engine.begin()
    text = literals_pb2.LiteralMap()
    text.literals["o0"].scalar.primitive.string_value = "y" * 1000
    outputs = Values(inline=text.SerializeToString())
    report = replace(success(engine.run_of("n0")), outputs=outputs)
    engine.do(report)

    assert isinstance(engine.sent[-1], d.ResolveInputs)


def test_outputs_that_cannot_be_resolved_fail_late_executions_too() -> None:
    """Nothing comes after the end node: its failure ends the workflow at once."""
    engine = Engine(definition([task_node("n0")], "n0", fail_late=True), created())
    engine.begin()
    big = Values(uri="blob", digest="1", size=10**6)
    report = replace(success(engine.run_of("n0")), outputs=big)
    engine.do(report)
    lost = Failure(code="BindingResolutionFailure", message="gone", kind="SYSTEM")
    engine.do(c.ReportResolutionFailed(node_id="end-node", attempt=0, failure=lost))

    assert engine.state.phase.value == "FAILED"
    assert engine.state.failure == lost


@pytest.mark.parametrize("level", [1, FORMAT_LEVEL])
def test_a_runner_is_told_which_attributes_are_times(level: int) -> None:
    """Once all runners know what that means: a dataclass has texts in their place."""
    template = task_template("at")
    template.interface.inputs.variables["x"].type.CopyFrom(MOMENT)
    node = task_node("n1", "n0", task="at")
    node.inputs[0].binding.promise.attr_path.add(string_value="at")
    tasks = [task_template(), template]
    engine = Engine(definition([task_node("n0"), node], "n1", tasks=tasks), created())
    engine.format_level = level
    engine.begin()
    big = Values(uri="blob", digest="1", size=10**6)
    engine.do(replace(success(engine.run_of("n0")), outputs=big))
    asked = engine.sent[-1]

    assert isinstance(asked, d.ResolveInputs)
    found = interface_pb2.VariableMap.FromString(asked.times).variables
    assert set(found) == ({"x"} if level == FORMAT_LEVEL else set())


def _stored(uri: str = "b") -> literals_pb2.Literal:
    metadata = literals_pb2.LiteralOffloadedMetadata(uri=uri, inferred_type=INT)
    return literals_pb2.Literal(offloaded_metadata=metadata)


def _report(engine: Engine, **outputs: literals_pb2.Literal) -> c.ReportTaskSucceeded:
    """Return the report that n0 has these outputs."""
    data = literals_pb2.LiteralMap(literals=outputs).SerializeToString()
    return replace(success(engine.run_of("n0")), outputs=Values(inline=data))


def test_a_path_into_a_stored_value_is_followed_outside() -> None:
    """A task may store one large output: only a path into it needs reading."""
    inside, whole = task_node("n1", "n0"), task_node("n2", "n0")
    inside.inputs[0].binding.promise.attr_path.add(string_value="field")
    engine = Engine(definition([task_node("n0"), inside, whole], "n2"), created())
    engine.begin()
    engine.do(_report(engine, o0=_stored()))

    asked = [m for m in engine.sent if isinstance(m, d.ResolveInputs)]
    assert [m.node_id for m in asked] == ["n1"]
    given = literals_pb2.LiteralMap.FromString(engine.run_of("n2").inputs.inline or b"")
    assert given.literals["x"] == _stored()


def test_a_stored_operand_of_a_branch_is_read_outside() -> None:
    """The report carries what the condition compares; the inputs stay as they are."""
    branch = branch_node("n1", "n0", task_node("big"), task_node("small"))
    engine = Engine(definition([task_node("n0"), branch], "n1"), created())
    engine.begin()
    engine.do(_report(engine, o0=_stored()))
    asked = engine.sent[-1]
    assert isinstance(asked, d.ResolveInputs)
    assert (asked.node_id, asked.operands) == ("n1", ("x",))

    operands = literals_pb2.LiteralMap(literals={"x": integer(9)})
    report = c.ReportInputsResolved(
        node_id="n1",
        attempt=0,
        inputs=Values(uri="inputs", digest="1", size=99),
        operands=operands.SerializeToString(),
    )
    engine.do(report)

    assert engine.run_of("n1-0-big").node_id == "n1-0-big"
    assert engine.phase("n1") == "RUNNING"
    assert engine.do(report) == []
