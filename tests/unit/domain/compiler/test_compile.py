"""What a compiled closure contains, and what compiling costs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flyteidl.core import identifier_pb2, workflow_pb2

from domain.compiler.compile import CompileErrors, compile_workflow, requirements
from domain.graph import END, START, definition_of, entity_ref
from tests.support.graphs import (
    INT,
    branch_node,
    identifier,
    launch_plan_node,
    promise,
    task_node,
    task_template,
    workflow_node,
)

NODES = 5_000
SECONDS_MAX = 10


def template(*nodes: Any, output: str = "", name: str = "main") -> Any:
    """Return a template from x: int to o0, the output of one node (else x itself)."""
    workflow = workflow_pb2.WorkflowTemplate(
        id=identifier(identifier_pb2.WORKFLOW, name), nodes=nodes
    )
    workflow.interface.inputs.variables["x"].type.CopyFrom(INT)
    workflow.interface.outputs.variables["o0"].type.CopyFrom(INT)
    workflow.outputs.append(promise("o0", output))
    return workflow


def compiled(workflow: Any, *subs: Any) -> Any:
    """Compile against the task `t`, which must succeed."""
    task = task_template()
    closure = compile_workflow(workflow, subs, {entity_ref(task.id): task}, {})
    assert not isinstance(closure, CompileErrors), closure.text()
    return closure


def _edges(side: Any) -> dict[str, list[str]]:
    return {node_id: list(ids.ids) for node_id, ids in side.items()}


def test_completes_the_graph() -> None:
    """Start and end come first; nodes without edges go between them; ids are sorted."""
    nodes = [task_node("b"), task_node("a", "b"), task_node("c", "b", "a")]
    primary = compiled(template(*nodes, output="a")).primary

    assert [node.id for node in primary.template.nodes] == [START, END, "b", "a", "c"]
    assert _edges(primary.connections.upstream) == {
        "b": [START], "a": ["b"], "c": ["a", "b"], END: ["a", "c"],
    }  # fmt: skip
    assert _edges(primary.connections.downstream) == {
        START: ["b"], "b": ["a", "c"], "a": ["c", END], "c": [END],
    }  # fmt: skip


def test_joins_what_has_no_input_to_the_start() -> None:
    """A node without inputs waits for the start node."""
    node = task_node("a")
    node.inputs[0].binding.scalar.primitive.integer = 1
    primary = compiled(template(node, output="a")).primary

    assert list(primary.connections.upstream["a"].ids) == [START]


def test_a_workflow_may_give_what_it_is_given() -> None:
    """Without nodes the end follows the start."""
    closure = compiled(template())

    connections = closure.primary.connections
    assert _edges(connections.upstream) == {END: [START]}
    assert _edges(connections.downstream) == {START: [END]}


def test_rewrites_the_empty_node_id() -> None:
    """A promise of the workflow's input names the start node afterwards."""
    node = task_node("a")
    node.inputs[0].binding.promise.node_id = ""
    workflow = template(node)
    workflow.outputs[0].binding.promise.node_id = ""
    before = workflow.SerializeToString(deterministic=True)
    primary = compiled(workflow).primary

    bindings = [primary.template.nodes[2].inputs[0], primary.template.outputs[0]]
    bindings += primary.template.nodes[1].inputs
    assert [b.binding.promise.node_id for b in bindings] == [START] * 3
    assert workflow.SerializeToString(deterministic=True) == before


def test_accepts_nodes_in_any_order() -> None:
    """A node may be written before what it waits for, arms of branches too."""
    branch = branch_node("b", "a", task_node("then", "c"), task_node("else", "a"))
    nodes = [branch, task_node("c", "a"), task_node("a")]
    primary = compiled(template(*nodes, output="b")).primary

    assert list(primary.connections.upstream["b-then"].ids) == ["c"]
    assert definition_of(compiled(template(*nodes, output="b"))).node_count == 7


def test_keeps_only_what_is_used() -> None:
    """The closure has the sub-workflows and tasks that the template refers to."""
    sub = template(task_node("i"), output="i", name="sub")
    other = template(task_node("i", task="u"), output="i", name="other")
    closure = compiled(template(workflow_node("a"), output="a"), sub, other)

    assert [w.template.id.name for w in closure.sub_workflows] == ["sub"]
    assert [task.template.id.name for task in closure.tasks] == ["t"]


def test_requires_what_nodes_name_at_every_depth() -> None:
    """Arms, sub-nodes of arrays, failure nodes and sub-workflows are searched."""
    array = workflow_pb2.Node(id="r")
    array.array_node.node.CopyFrom(task_node("n", task="mapped"))
    branch = branch_node("b", "", launch_plan_node("x"), workflow_node("y"))
    workflow = template(array, branch)
    workflow.failure_node.CopyFrom(task_node("f", task="clean"))
    sub = template(
        task_node("i", task="inner"), task_node("j", task="inner"), name="sub"
    )
    needed = requirements(workflow, [sub])

    assert [i.name for i in needed.tasks] == ["mapped", "clean", "inner"]
    assert [i.name for i in needed.launch_plans] == ["lp"]


@pytest.mark.parametrize("shape", ["chain", "fan"])
def test_compiles_thousands_of_nodes(shape: str) -> None:
    """Cost is linear, and depth has no limit."""
    nodes = [task_node("n0")]
    for number in range(1, NODES):
        source = f"n{number - 1}" if shape == "chain" else "n0"
        nodes.append(task_node(f"n{number}", source))
    workflow = template(*nodes, output=f"n{NODES - 1}")

    began = time.perf_counter()
    closure = compiled(workflow)

    assert time.perf_counter() - began < SECONDS_MAX
    assert len(closure.primary.template.nodes) == NODES + 2
