"""References of nodes: what they must name, and what a missing one hides (ref §3.4)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import workflow_pb2

from domain.compiler.compile import compile_workflow
from domain.compiler.errors import Code, CompileErrors
from domain.graph import entity_ref
from tests.support.graphs import array_node, gate_node, task_node, task_template
from tests.unit.domain.compiler.test_compile import template


def _errors(*nodes: Any, output: str = "") -> list[tuple[Code, str]]:
    task = task_template()
    workflow = template(*nodes, output=output)
    result = compile_workflow(workflow, (), {entity_ref(task.id): task}, {})
    assert isinstance(result, CompileErrors)
    return [(error.code, error.node_id) for error in result.errors]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"task_node": workflow_pb2.TaskNode()}, Code.VALUE_REQUIRED),
        (
            {"workflow_node": workflow_pb2.WorkflowNode()},
            Code.WORKFLOW_REFERENCE_NOT_FOUND,
        ),
    ],
)
def test_a_node_must_name_what_it_runs(target: dict[str, Any], code: Code) -> None:
    """A task node without a task, or a workflow node without either kind, is none."""
    assert _errors(workflow_pb2.Node(id="a", **target)) == [(code, "a")]


def test_the_element_of_an_array_must_exist() -> None:
    """The error is that of the element; the array's outputs stay unknown."""
    array = array_node("a", task="nowhere")
    array.array_node.node.id = "element"

    errors = _errors(array, task_node("b", "a"), output="b")

    assert errors == [(Code.TASK_REFERENCE_NOT_FOUND, "element")]


def _late(node: Any) -> Any:
    node.metadata.timeout.seconds = 10**12
    return node


def _sleeping(seconds: int) -> Any:
    node = gate_node("a")
    node.gate_node.sleep.duration.seconds = seconds
    return node


@pytest.mark.parametrize("node", [_late(task_node("a")), _sleeping(10**12)])
def test_times_must_be_within_what_a_duration_holds(node: Any) -> None:
    """Protobuf sends longer ones, but no other client could read them."""
    assert _errors(node) == [(Code.INVALID_VALUE, "a")]
