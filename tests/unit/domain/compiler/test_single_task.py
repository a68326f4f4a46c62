"""The workflow around a single task."""

from __future__ import annotations

import pytest
from flyteidl.core import types_pb2

from domain.compiler.compile import (
    CompileErrors,
    compile_workflow,
    single_task_workflow,
)
from domain.compiler.single_task import DEFAULT_RETRIES
from domain.graph import entity_ref
from tests.support.graphs import task_template


def test_passes_the_task_s_values_through() -> None:
    """Inputs and outputs are the task's, and the workflow compiles."""
    task = task_template("my.module.task_1")
    workflow = single_task_workflow(task)
    closure = compile_workflow(workflow, [], {entity_ref(task.id): task}, {})

    assert not isinstance(closure, CompileErrors)
    assert workflow.id.name == ".flytegen.my.module.task_1"
    assert workflow.id.version == task.id.version
    assert workflow.interface == task.interface
    assert closure.primary.template.nodes[2].id == "mymoduletask1"


@pytest.mark.parametrize(
    ("name", "node_id"),
    [("a.b_c-d", "abc-d"), ("x" * 60 + ".abcdef", "x" * 56 + "abcdef"), ("...", "n0")],
)
def test_node_id_is_the_end_of_the_name(name: str, node_id: str) -> None:
    """Of the last 63 characters, letters, digits and dashes stay."""
    assert single_task_workflow(task_template(name)).nodes[0].id == node_id


def test_retries_are_the_task_s_if_it_has_any_set() -> None:
    """A task with zero retries keeps zero; one without a setting gets the default."""
    task = task_template(retries=0)
    assert single_task_workflow(task).nodes[0].metadata.retries.retries == 0

    task.ClearField("metadata")
    retries = single_task_workflow(task).nodes[0].metadata.retries.retries
    assert retries == DEFAULT_RETRIES


@pytest.mark.parametrize(("named", "bound"), [("", []), ("b,c", ["b", "c"])])
def test_a_map_task_is_an_array(named: str, bound: list[str]) -> None:
    """flytekit's map tasks run for each index of their lists."""
    task = task_template()
    words = ["pyflyte-map-execute", "--resolver", "r", "--", "vars", named, "resolver"]
    task.container.image = "i"
    task.container.args.extend(["pyflyte-fast-execute", "--", *words])
    for values in (task.interface.inputs, task.interface.outputs):
        for variable in values.variables.values():
            kind = types_pb2.LiteralType()
            kind.collection_type.CopyFrom(variable.type)
            variable.type.CopyFrom(kind)
    (node,) = single_task_workflow(task).nodes
    closure = compile_workflow(
        single_task_workflow(task), [], {entity_ref(task.id): task}, {}
    )

    assert not isinstance(closure, CompileErrors), closure
    assert node.array_node.node.task_node.reference_id == task.id
    assert list(node.array_node.bound_inputs) == bound
