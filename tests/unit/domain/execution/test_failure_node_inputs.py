"""Failure nodes that are launch plans: what they are told of the error (ref §4.1)."""

from __future__ import annotations

from typing import Any

from flyteidl.core import compiler_pb2, literals_pb2, types_pb2

from domain.decider import Send
from domain.graph import definition_of
from schemas.messages import commands as c
from tests.support.engine import Engine, created
from tests.support.graphs import (
    launch_plan_node,
    promise,
    task_node,
    task_template,
)
from tests.unit.domain.execution.test_failure_nodes import NONE, cleaner, handled


def _begun(node: Any) -> Engine:
    """Return an execution of one task with a failure node, begun."""
    primary = handled("main", [task_node("n0")], "n0", node=node)
    closure = compiler_pb2.CompiledWorkflowClosure(primary=primary)
    for template in (task_template(), cleaner()):
        closure.tasks.add().template.CopyFrom(template)
    engine = Engine(definition_of(closure), created(7))
    engine.begin()
    return engine


def _given(engine: Engine) -> Any:
    """Return the inputs of the child that the failure node asks for."""
    (create,) = [
        m.command
        for m in engine.sent
        if isinstance(m, Send) and isinstance(m.command, c.CreateExecution)
    ]
    return literals_pb2.LiteralMap.FromString(create.inputs or b"").literals


def _with_default() -> Any:
    """Return a launch plan node whose `err` is bound to its default, None."""
    node = launch_plan_node("fn0")
    none = literals_pb2.Literal()
    none.scalar.none_type.SetInParent()
    data = literals_pb2.BindingData()
    data.scalar.union.CopyFrom(literals_pb2.Union(value=none, type=NONE))
    node.inputs.append(literals_pb2.Binding(var="err", binding=data))
    return node


def test_a_launch_plan_is_told_the_error_if_it_has_a_place_for_it() -> None:
    """Its interface isn't known here: an `err` that defaults to None can hold one."""
    engine = _begun(_with_default())
    engine.fail("n0")

    told = _given(engine)["err"].scalar.union
    assert told.type.simple == types_pb2.ERROR
    assert told.value.scalar.error.message == "it broke"
    assert told.value.scalar.error.failed_node_id == "n0"


def test_an_err_of_the_workflow_itself_is_handed_on_as_it_is() -> None:
    """An `err` that is bound to a value of the workflow isn't overwritten."""
    node = launch_plan_node("fn0")
    node.inputs.append(promise("err", ""))
    engine = _begun(node)
    engine.fail("n0")

    assert _given(engine)["err"].scalar.primitive.integer == 7


def test_a_failure_node_without_an_err_is_given_its_inputs_only() -> None:
    """A task may clean up without knowing what failed."""
    engine = _begun(task_node("fn0", task="t"))
    engine.fail("n0")

    inputs = literals_pb2.LiteralMap.FromString(
        engine.run_of("fn0").inputs.inline or b""
    )
    assert set(inputs.literals) == {"x"}
