"""Each way in which a graph can be invalid, by its code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flyteidl.core import (
    condition_pb2,
    interface_pb2,
    literals_pb2,
    types_pb2,
    workflow_pb2,
)

from domain.compiler.compile import LaunchPlanInterface, compile_workflow
from domain.compiler.errors import TEXT_ERRORS_MAX, Code, CompileError, CompileErrors
from domain.graph import END, START, entity_ref
from tests.support.graphs import (
    INT,
    branch_node,
    launch_plan_node,
    promise,
    task_node,
    task_template,
    workflow_node,
)
from tests.unit.domain.compiler.test_compile import template

STRING = types_pb2.LiteralType(simple=types_pb2.STRING)


def _list(item: Any) -> Any:
    return types_pb2.LiteralType(collection_type=item)


def _union(*variants: Any) -> Any:
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))


def _dataclass() -> Any:
    kind = types_pb2.LiteralType(simple=types_pb2.STRUCT)
    kind.structure.dataclass_type["x"].CopyFrom(INT)
    return kind


def _task(name: str, kind: Any, output: Any = INT) -> Any:
    task = task_template(name)
    task.interface.inputs.variables["x"].type.CopyFrom(kind)
    task.interface.outputs.variables["o0"].type.CopyFrom(output)
    return task


ENUM = types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=["red"]))
TASKS = [
    task_template(),
    _task("string", STRING),
    _task("enum", ENUM),
    _task("list", _list(INT), _list(INT)),
    _task("strings", _list(STRING)),
    _task("union", _union(_list(INT), STRING)),
    _task("twice", _union(_list(INT), _list(_union(INT, STRING)))),
    _task("makes-dataclass", INT, _dataclass()),
    _task("makes-string", INT, STRING),
]


def _errors(workflow: Any, *subs: Any, **plans: Any) -> CompileErrors:
    tasks = {entity_ref(task.id): task for task in TASKS}
    lp = entity_ref(launch_plan_node("n").workflow_node.launchplan_ref)
    known = {lp: plans["lp"]} if plans else {}
    result = compile_workflow(workflow, subs, tasks, known)
    assert isinstance(result, CompileErrors)
    return result


def _bound(task: str, **value: Any) -> Any:
    node = task_node("a", task=task)
    node.inputs[0].binding.CopyFrom(literals_pb2.BindingData(**value))
    return node


def _items(*values: int) -> Any:
    items = [
        literals_pb2.BindingData(
            scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value))
        )
        for value in values
    ]
    return literals_pb2.BindingDataCollection(bindings=items)


def _text(value: str) -> Any:
    return literals_pb2.Scalar(primitive=literals_pb2.Primitive(string_value=value))


def _promise(var: str, *path: str, node: str = "m") -> Any:
    attributes = [types_pb2.PromiseAttribute(string_value=key) for key in path]
    return types_pb2.OutputReference(node_id=node, var=var, attr_path=attributes)


def _changed(node: Any, change: Callable[[Any], object]) -> Any:
    change(node)
    return node


def _branch(change: Callable[[Any], object]) -> Any:
    node = branch_node("b", "", task_node("y"), task_node("z"))
    change(node.branch_node.if_else)
    return node


def _gate(**condition: Any) -> Any:
    return workflow_pb2.Node(id="g", gate_node=workflow_pb2.GateNode(**condition))


def _alias(*names: str) -> Any:
    aliases = [workflow_pb2.Alias(var=name, alias=f"as-{name}") for name in names]
    return _changed(task_node("a"), lambda n: n.output_aliases.extend(aliases))


def _compare(block: Any, **operand: Any) -> None:
    block.case.condition.comparison.right_value.CopyFrom(
        condition_pb2.Operand(**operand)
    )


MAKES = task_node("m", task="makes-dataclass")
BROKEN: dict[str, tuple[Code, str, list[Any]]] = {
    "nodes in a cycle": (
        Code.CYCLE_DETECTED, START,
        [task_node("a", "", "b"), task_node("b", "a")],
    ),
    "an arm that waits for what waits for its branch": (
        Code.CYCLE_DETECTED, START,
        [branch_node("b", "", task_node("y", "a"), None), task_node("a", "b")],
    ),
    "nodes that nothing leads to": (
        Code.UNREACHABLE_NODES, START,
        [task_node("a", "b"), task_node("b", "a"), task_node("c")],
    ),
    "a case without a node": (
        Code.BRANCH_NODE_ID_NOT_FOUND, "b",
        [_branch(lambda block: block.case.ClearField("then_node"))],
    ),
    "a case without a condition": (
        Code.BRANCH_NODE_HAS_NO_CONDITION, "b",
        [_branch(lambda block: block.case.ClearField("condition"))],
    ),
    "a branch without a default": (
        Code.BRANCH_NODE_HAS_NO_DEFAULT, "b",
        [_branch(lambda block: block.ClearField("else_node"))],
    ),
    "a condition on what isn't bound": (
        Code.VARIABLE_NAME_NOT_FOUND, "b",
        [_branch(lambda block: _compare(block, var="nowhere"))],
    ),
    "a condition that compares two types": (
        Code.MISMATCHING_TYPES, "b",
        [_branch(lambda b: _compare(b, primitive=_text("v").primitive))],
    ),
    "a condition without an operand": (
        Code.VALUE_REQUIRED, "b",
        [_branch(_compare)],
    ),
    "arms that disagree": (
        Code.MISMATCHING_TYPES, "b-z",
        [branch_node("b", "", task_node("y"), task_node("z", task="makes-string"))],
    ),
    "a node without an id": (Code.VALUE_REQUIRED, "<node>", [task_node("")]),
    "an arm without an id": (
        Code.VALUE_REQUIRED, "b-", [branch_node("b", "", task_node(""), None)],
    ),
    "a node without a target": (
        Code.VALUE_REQUIRED, "a", [workflow_pb2.Node(id="a")],
    ),
    "an upstream that isn't there": (
        Code.NODE_REFERENCE_NOT_FOUND, "a", [task_node("a", "nowhere")],
    ),
    "an arm that waits for what isn't there": (
        Code.NODE_REFERENCE_NOT_FOUND, "b-y",
        [branch_node("b", "", task_node("y", "nowhere"), None)],
    ),
    "a task that isn't there": (
        Code.TASK_REFERENCE_NOT_FOUND, "a", [task_node("a", task="nowhere")],
    ),
    "a sub-workflow that isn't there": (
        Code.WORKFLOW_REFERENCE_NOT_FOUND, "a", [workflow_node("a")],
    ),
    "a launch plan that isn't there": (
        Code.WORKFLOW_REFERENCE_NOT_FOUND, "a", [launch_plan_node("a")],
    ),
    "an input that the task doesn't have": (
        Code.VARIABLE_NAME_NOT_FOUND, "a",
        [_changed(task_node("a"), lambda node: node.inputs.append(promise("y", "")))],
    ),
    "an output that the node doesn't have": (
        Code.VARIABLE_NAME_NOT_FOUND, "a",
        [MAKES, _bound("t", promise=_promise("o1"))],
    ),
    "an alias twice": (Code.DUPLICATE_ALIAS, "a", [_alias("o0", "o0")]),
    "an alias of nothing": (Code.PARAMETER_NOT_BOUND, "a", [_alias("o1")]),
    "an id twice": (Code.DUPLICATE_ID, "a", [task_node("a"), task_node("a")]),
    "a node that takes the start's id": (Code.DUPLICATE_ID, START, [task_node(START)]),
    "a node that takes the end's id": (Code.DUPLICATE_ID, END, [task_node(END)]),
    "a promise of another type": (
        Code.MISMATCHING_TYPES, "a", [task_node("a", task="string")],
    ),
    "a literal of another type": (
        Code.MISMATCHING_TYPES, "a", [_bound("t", scalar=_text("v"))],
    ),
    "an item of another type": (
        Code.MISMATCHING_TYPES, "a",
        [_bound("strings", collection=_items(1))],
    ),
    "an index into what is no list": (
        Code.MISMATCHING_TYPES, "a",
        [MAKES, _bound("t", promise=_promise("[0].o0"))],
    ),
    "a list where none is asked": (
        Code.MISMATCHING_BINDINGS, "a", [_bound("t", collection=_items(1))],
    ),
    "an input bound twice": (
        Code.PARAMETER_BOUND_MORE_THAN_ONCE, "a",
        [_changed(task_node("a"), lambda node: node.inputs.append(node.inputs[0]))],
    ),
    "an input not bound": (
        Code.PARAMETER_NOT_BOUND, "a",
        [_changed(task_node("a"), lambda node: node.ClearField("inputs"))],
    ),
    "a binding without a value": (
        Code.VALUE_REQUIRED, "a",
        [_changed(task_node("a"), lambda node: node.inputs[0].ClearField("binding"))],
    ),
    "a scalar without a value": (
        Code.UNRECOGNIZED_VALUE, "a", [_bound("t", scalar=literals_pb2.Scalar())],
    ),
    "a name that is none": (
        Code.SYNTAX_ERROR, "a", [MAKES, _bound("t", promise=_promise("[x]o0"))],
    ),
    "a value that the enum lacks": (
        Code.ILLEGAL_ENUM_VALUE, "a", [_bound("enum", scalar=_text("blue"))],
    ),
    "a list that fits two variants": (
        Code.AMBIGUOUS_BINDING_UNION_VALUE, "a",
        [_bound("twice", collection=_items(1))],
    ),
    "a map that fits no variant": (
        Code.INCOMPATIBLE_BINDING_UNION_VALUE, "a",
        [_bound("union", map=literals_pb2.BindingDataMap())],
    ),
    "a gate with a long signal id": (
        Code.INVALID_VALUE,
        "g",
        [_gate(approve=workflow_pb2.ApproveCondition(signal_id="s" * 501))],
    ),
    "a gate without a condition": (Code.NO_CONDITION_FOUND, "g", [_gate()]),
    "a signal without a type": (
        Code.VALUE_REQUIRED, "g",
        [_gate(signal=workflow_pb2.SignalCondition(output_variable_name="o0"))],
    ),
    "a signal without a name": (
        Code.VALUE_REQUIRED, "g",
        [_gate(signal=workflow_pb2.SignalCondition(type=INT))],
    ),
    "a field that the dataclass lacks": (
        Code.FIELD_NOT_FOUND, "a",
        [MAKES, _bound("t", promise=_promise("o0", "y"))],
    ),
    "a field of an integer": (
        Code.FIELD_NOT_FOUND, "a",
        [task_node("m"), _bound("t", promise=_promise("o0", "y"))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_refuses(broken: str) -> None:
    """A single error is reported with its code, at its node, and no other."""
    code, node_id, nodes = BROKEN[broken]
    errors = _errors(template(*nodes)).errors

    assert [(error.code, error.node_id) for error in errors] == [(code, node_id)]
    assert "Expected" in errors[0].description


def test_refuses_a_workflow_that_is_empty() -> None:
    """A workflow without nodes must have outputs."""
    workflow = template()
    workflow.ClearField("outputs")
    workflow.interface.ClearField("outputs")

    assert _errors(workflow).codes == (Code.NO_NODES_FOUND,)


def test_refuses_a_workflow_output_of_another_type() -> None:
    """The workflow's outputs must have the declared types."""
    workflow = template(task_node("a", task="makes-string"), output="a")

    assert _errors(workflow).codes == (Code.MISMATCHING_TYPES,)


def test_refuses_a_workflow_output_that_is_not_bound() -> None:
    """Every declared output needs a binding."""
    workflow = template(task_node("a"))
    workflow.ClearField("outputs")
    error = _errors(workflow).errors[0]

    assert (error.code, error.node_id) == (Code.PARAMETER_NOT_BOUND, END)


def test_refuses_a_variable_without_a_type() -> None:
    """The workflow's own interface is checked as well."""
    workflow = template(task_node("a"))
    workflow.interface.inputs.variables["y"].description = "untyped"

    assert _errors(workflow).codes == (Code.VALUE_REQUIRED,)


def test_refuses_a_failure_node_that_does_not_fit() -> None:
    """The failure node's inputs must fit its interface."""
    workflow = template(task_node("a"))
    workflow.failure_node.CopyFrom(task_node("f", task="string"))
    error = _errors(workflow).errors[0]

    assert (error.code, error.node_id) == (Code.MISMATCHING_TYPES, "f")


def test_refuses_workflows_that_run_themselves() -> None:
    """A sub-workflow that runs itself would never end."""
    sub = template(workflow_node("i", workflow="other"), name="sub")
    other = template(workflow_node("j", workflow="sub"), name="other")

    errors = _errors(template(workflow_node("a")), sub, other)

    assert errors.codes == (Code.CYCLE_DETECTED,)
    assert "sub > other > sub" in errors.text()


def test_says_in_which_sub_workflow_an_error_is() -> None:
    """Node ids are of one workflow only, so the error names it."""
    sub = template(task_node("i", task="string"), name="sub")

    errors = _errors(template(workflow_node("a")), sub)

    assert errors.codes == (Code.MISMATCHING_TYPES,)
    assert "sub-workflow sub: " in errors.errors[0].description


def test_refuses_a_sub_workflow_given_twice() -> None:
    """Two templates of one id can't be told apart."""
    sub = template(task_node("i"), name="sub")

    assert _errors(template(workflow_node("a")), sub, sub).codes == (Code.DUPLICATE_ID,)


def test_hides_fixed_inputs_and_wants_required_ones() -> None:
    """A launch plan's required inputs must be bound, others may, fixed ones can't."""
    parameters = interface_pb2.ParameterMap()
    parameters.parameters["needed"].required = True
    parameters.parameters["needed"].var.type.CopyFrom(INT)
    parameters.parameters["defaulted"].var.type.CopyFrom(INT)
    outputs = task_template().interface.outputs
    errors = _errors(
        template(launch_plan_node("a"), output="a"),
        lp=LaunchPlanInterface(parameters, outputs),
    )

    assert errors.codes == (Code.VARIABLE_NAME_NOT_FOUND, Code.PARAMETER_NOT_BOUND)
    assert "'needed'" in errors.errors[1].description


def test_collects_every_error() -> None:
    """All errors are reported, not only the first."""
    nodes = [task_node("a", task="nowhere"), _gate(), task_node("c", task="string")]

    assert set(_errors(template(*nodes)).codes) == {
        Code.TASK_REFERENCE_NOT_FOUND,
        Code.NO_CONDITION_FOUND,
        Code.MISMATCHING_TYPES,
    }


def test_does_not_blame_those_downstream() -> None:
    """A node whose interface isn't known brings no errors on those that use it."""
    nodes = [task_node("a", task="nowhere"), task_node("b", "a", task="string")]

    assert _errors(template(*nodes)).codes == (Code.TASK_REFERENCE_NOT_FOUND,)


def test_text_is_bounded() -> None:
    """The text lists a limited number of errors and counts the others."""
    error = CompileError(Code.DUPLICATE_ID, "n", "Expected one, but got two")
    text = CompileErrors((error,) * (TEXT_ERRORS_MAX + 7)).text()

    assert text.count("DuplicateId") == TEXT_ERRORS_MAX
    assert text.endswith("… and 7 more")
