"""Branches at compilation: the types of conditions, and the outputs of arms."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import condition_pb2, literals_pb2, types_pb2, workflow_pb2

from domain.compiler.compile import compile_workflow
from domain.compiler.errors import Code, CompileErrors
from domain.graph import entity_ref
from tests.support.graphs import branch_node, promise, task_node, task_template
from tests.support.literals import INT, TEXT
from tests.unit.domain.compiler.test_compile import template

Type = types_pb2.LiteralType
Union = types_pb2.UnionType
ENUM = Type(enum_type=types_pb2.EnumType(values=["red", "blue"]))
OPTIONAL = Type(union_type=Union(variants=[INT, Type(simple=types_pb2.NONE)]))
EITHER = Type(union_type=Union(variants=[INT, Type(simple=types_pb2.BOOLEAN)]))
STRUCT = Type(simple=types_pb2.STRUCT)


def _text(value: str) -> Any:
    return literals_pb2.Primitive(string_value=value)


def _number(value: int) -> Any:
    return literals_pb2.Primitive(integer=value)


def _operand(**value: Any) -> Any:
    return condition_pb2.Operand(**value)


def _is(left: Any, right: Any) -> Any:
    comparison = condition_pb2.ComparisonExpression(left_value=left, right_value=right)
    return condition_pb2.BooleanExpression(comparison=comparison)


def _both(left: Any, right: Any) -> Any:
    conjunction = condition_pb2.ConjunctionExpression(
        left_expression=left, right_expression=right
    )
    return condition_pb2.BooleanExpression(conjunction=conjunction)


def _codes(*nodes: Any, output: str = "", kind: Any = INT) -> tuple[Code, ...]:
    """Compile a workflow whose input x is of a kind; return the errors' codes."""
    makes = task_template("makes-string")
    makes.interface.outputs.variables["o0"].type.CopyFrom(TEXT)
    library = {entity_ref(task.id): task for task in (task_template(), makes)}
    workflow = template(*nodes, output=output)
    if not output:
        workflow.ClearField("outputs")
        workflow.interface.ClearField("outputs")
    workflow.interface.inputs.variables["x"].type.CopyFrom(kind)
    result = compile_workflow(workflow, (), library, {})
    return result.codes if isinstance(result, CompileErrors) else ()


def _on(condition: Any, kind: Any) -> tuple[Code, ...]:
    """Return the errors of a branch with a condition on x, an input of a kind."""
    node = branch_node("b", "", _approval("yes"), None)
    node.branch_node.if_else.case.condition.CopyFrom(condition)
    return _codes(node, kind=kind)


def _approval(node_id: str, **bound: Any) -> Any:
    """Return a gate that hands its bindings on: their types are its outputs'."""
    node = workflow_pb2.Node(id=node_id)
    node.gate_node.approve.signal_id = node_id
    for name, data in bound.items():
        node.inputs.add(var=name).binding.CopyFrom(data)
    return node


X = _operand(var="x")


@pytest.mark.parametrize(
    ("kind", "operand"),
    [
        (ENUM, _operand(primitive=_text("red"))),
        (EITHER, _operand(primitive=_number(1))),
        (OPTIONAL, _operand(scalar=literals_pb2.Scalar(none_type={}))),
        (TEXT, _operand(scalar=literals_pb2.Scalar(primitive=_text("a")))),
        (STRUCT, X),
    ],
)
def test_operands_are_compared_as_the_values_they_will_have(
    kind: Any, operand: Any
) -> None:
    """An enum compares with strings, a union with each of its variants."""
    assert _on(_is(X, operand), kind) == ()


@pytest.mark.parametrize(
    ("kind", "operand"),
    [
        (ENUM, _operand(primitive=_number(1))),
        (EITHER, _operand(primitive=_text("a"))),
        (STRUCT, _operand(primitive=_text("a"))),
    ],
)
def test_operands_of_types_that_are_never_equal_are_refused(
    kind: Any, operand: Any
) -> None:
    """No value of the one type can be a value of the other."""
    assert _on(_is(X, operand), kind) == (Code.MISMATCHING_TYPES,)


def test_both_sides_of_a_conjunction_are_checked() -> None:
    """Conditions are checked at every depth, and each error is reported."""
    wrong = _is(X, _operand(primitive=_text("a")))
    unbound = _is(X, _operand(var="nowhere"))
    condition = _both(_both(wrong, _is(X, X)), unbound)

    assert set(_on(condition, INT)) == {
        Code.MISMATCHING_TYPES,
        Code.VARIABLE_NAME_NOT_FOUND,
    }


def test_a_condition_that_says_nothing_is_refused() -> None:
    """A side of a conjunction must be an expression."""
    condition = _both(_is(X, X), condition_pb2.BooleanExpression())

    assert _on(condition, INT) == (Code.VALUE_REQUIRED,)


def test_an_arm_with_an_error_leaves_the_outputs_of_its_branch_unknown() -> None:
    """Only the arm's error is reported, not those of nodes that use the branch."""
    branch = branch_node("b", "", task_node("y"), task_node("z", task="nowhere"))
    nodes = [branch, task_node("a", "b", task="t")]

    assert _codes(*nodes, output="a") == (Code.TASK_REFERENCE_NOT_FOUND,)


def test_a_branch_gives_the_outputs_that_all_arms_have() -> None:
    """An output of one arm only can't be promised by the branch."""
    bound = promise("o0", "").binding
    branch = branch_node("b", "", _approval("y", o0=bound, o1=bound), task_node("z"))

    assert _codes(branch, output="b") == ()
    branch.inputs.append(promise("p", ""))
    after = task_node("a", "b")
    after.inputs[0].binding.promise.var = "o1"
    assert _codes(branch, after, output="b") == (Code.VARIABLE_NAME_NOT_FOUND,)


def test_an_output_whose_type_is_not_known_agrees_with_any() -> None:
    """A mixed list has no declared type: it isn't compared with the other arm's."""
    mixed = literals_pb2.BindingData()
    for primitive in (_number(1), _text("a")):
        mixed.collection.bindings.add().scalar.primitive.CopyFrom(primitive)
    branch = branch_node("b", "", _approval("y", o0=mixed), task_node("z"))

    assert _codes(branch, output="b") == ()
