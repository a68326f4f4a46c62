"""Inputs that the engine cannot resolve itself: a runner reads them."""

from __future__ import annotations

from flyteidl.core import literals_pb2
from msgspec.structs import replace

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
    definition,
    promise,
    task_node,
    values,
)


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
