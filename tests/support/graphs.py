"""Readable compiled workflows for tests, built without the compiler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.core import (
    compiler_pb2,
    condition_pb2,
    identifier_pb2,
    literals_pb2,
    tasks_pb2,
    types_pb2,
    workflow_pb2,
)

from domain.graph import END, START, Definition, arms_of, definition_of
from domain.literals.bindings import source_node_ids

INT = types_pb2.LiteralType(simple=types_pb2.INTEGER)


def integer(value: int) -> Any:
    """Return an integer literal."""
    return literals_pb2.Literal(
        scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value))
    )


def values(**literals: int) -> bytes:
    """Return a serialized literal map of integers."""
    return literals_pb2.LiteralMap(
        literals={name: integer(value) for name, value in literals.items()}
    ).SerializeToString(deterministic=True)


def identifier(kind: int, name: str) -> Any:
    """Return an identifier in project p, domain d, version v."""
    return identifier_pb2.Identifier(
        resource_type=kind, project="p", domain="d", name=name, version="v"
    )


def promise(var: str, node_id: str, source: str = "o0") -> Any:
    """Bind a variable to an upstream's output; node '' is the workflow's input."""
    return literals_pb2.Binding(
        var=var,
        binding=literals_pb2.BindingData(
            promise=types_pb2.OutputReference(
                node_id=node_id or START, var=source if node_id else "x"
            )
        ),
    )


def task_template(name: str = "t", retries: int = 0, kind: str = "echo") -> Any:
    """Return a task from x: int to o0: int."""
    template = tasks_pb2.TaskTemplate(
        id=identifier(identifier_pb2.TASK, name),
        type=kind,
        metadata=tasks_pb2.TaskMetadata(
            retries=literals_pb2.RetryStrategy(retries=retries)
        ),
    )
    template.interface.inputs.variables["x"].type.CopyFrom(INT)
    template.interface.outputs.variables["o0"].type.CopyFrom(INT)
    return template


def cached_template(name: str = "t", **metadata: Any) -> Any:
    """Return a task from x to o0 whose outputs are kept for reuse."""
    template = task_template(name, retries=metadata.pop("retries", 0))
    template.metadata.discoverable = True
    template.metadata.discovery_version = "1.0"
    template.metadata.MergeFrom(tasks_pb2.TaskMetadata(**metadata))
    return template


def task_node(
    node_id: str, *sources: str, task: str = "t", after: Sequence[str] = ()
) -> Any:
    """Return a task node; x is bound to the first source, the others are waited for."""
    node = workflow_pb2.Node(
        id=node_id,
        inputs=[promise("x", sources[0] if sources else "")],
        upstream_node_ids=[*sources[1:], *after],
    )
    node.task_node.reference_id.CopyFrom(identifier(identifier_pb2.TASK, task))
    return node


def given_node(node_id: str, x: int = 1) -> Any:
    """Return a task node that is given a value, and so needs nothing before it."""
    bound = literals_pb2.BindingData(scalar=integer(x).scalar)
    node = workflow_pb2.Node(
        id=node_id, inputs=[literals_pb2.Binding(var="x", binding=bound)]
    )
    node.task_node.reference_id.CopyFrom(identifier(identifier_pb2.TASK, "t"))
    return node


def array_node(
    node_id: str,
    *sources: str,
    task: str = "m",
    launch_plan: str = "",
    source: str = "o0",
    **settings: Any,
) -> Any:
    """Return an array over a task or launch plan; x is bound to the first source."""
    node = task_node(node_id, *sources)
    if sources and sources[0]:
        node.inputs[0].binding.promise.var = source
    inner = (
        launch_plan_node(node_id, *sources, launch_plan=launch_plan)
        if launch_plan
        else task_node(node_id, *sources, task=task)
    )
    array = workflow_pb2.ArrayNode(node=inner, **settings)
    node.array_node.CopyFrom(array)
    return node


def array_of(node_id: str, items: Sequence[str], **settings: Any) -> Any:
    """Return an array whose list x has the output of a node for each item."""
    node = array_node(node_id, *dict.fromkeys(items), **settings)
    collection = node.inputs[0].binding.collection
    collection.SetInParent()
    collection.bindings.extend(promise("x", item).binding for item in items)
    return node


def lists(**items: Sequence[int]) -> bytes:
    """Return a serialized literal map of lists of integers."""
    found = literals_pb2.LiteralMap()
    for name, numbers in items.items():
        found.literals[name].collection.SetInParent()
        found.literals[name].collection.literals.extend(map(integer, numbers))
    return found.SerializeToString(deterministic=True)


def workflow_node(node_id: str, *sources: str, workflow: str = "sub") -> Any:
    """Return a sub-workflow node."""
    node = task_node(node_id, *sources)
    reference = identifier(identifier_pb2.WORKFLOW, workflow)
    node.workflow_node.sub_workflow_ref.CopyFrom(reference)
    return node


def launch_plan_node(node_id: str, *sources: str, launch_plan: str = "lp") -> Any:
    """Return a launch plan node."""
    node = task_node(node_id, *sources)
    reference = identifier(identifier_pb2.LAUNCH_PLAN, launch_plan)
    node.workflow_node.launchplan_ref.CopyFrom(reference)
    return node


def branch_node(node_id: str, source: str, then: Any, otherwise: Any | None) -> Any:
    """Return: if x > 5 then one arm, else the other (or fail, if there is none)."""
    node = workflow_pb2.Node(id=node_id, inputs=[promise("x", source)])
    block = node.branch_node.if_else
    comparison = block.case.condition.comparison
    comparison.operator = condition_pb2.ComparisonExpression.GT
    comparison.left_value.var = "x"
    comparison.right_value.primitive.integer = 5
    block.case.then_node.CopyFrom(then)
    if otherwise is None:
        block.error.message = "none fits"
    else:
        block.else_node.CopyFrom(otherwise)
    return node


def gate_node(node_id: str, *sources: str, signal: str = "") -> Any:
    """Return a gate: it waits for an integer o0; without a signal it sleeps 5 s."""
    node = task_node(node_id, *sources)
    del node.inputs[:]
    node.upstream_node_ids[:] = sources
    if signal:
        node.gate_node.signal.signal_id = signal
        node.gate_node.signal.type.CopyFrom(INT)
        node.gate_node.signal.output_variable_name = "o0"
    else:
        node.gate_node.sleep.duration.FromSeconds(5)
    return node


def approve_node(node_id: str, source: str, *, signal: str) -> Any:
    """Return a gate that hands x on once somebody approves."""
    node = workflow_pb2.Node(id=node_id, inputs=[promise("o0", source)])
    node.gate_node.approve.signal_id = signal
    return node


def workflow(
    name: str, nodes: Sequence[Any], output: str, *, fail_late: bool = False
) -> Any:
    """Return a compiled workflow from x: int to o0, the output of one node."""
    end = workflow_pb2.Node(id=END, inputs=[promise("o0", output)])
    start = workflow_pb2.Node(id=START)
    compiled = compiler_pb2.CompiledWorkflow()
    compiled.template.id.CopyFrom(identifier(identifier_pb2.WORKFLOW, name))
    compiled.template.nodes.extend([start, end, *nodes])
    compiled.template.metadata.on_failure = int(fail_late)
    used: set[str] = set()
    for node in (*nodes, end):
        used |= _connect(compiled, node)
    leaves = [node.id for node in nodes if node.id not in used]
    upstream = compiled.connections.upstream[END]
    upstream.ids.extend(i for i in leaves if i not in upstream.ids)
    return compiled


def _connect(compiled: Any, node: Any) -> set[str]:
    before = set(source_node_ids(node.inputs))
    before |= set(node.upstream_node_ids)
    before.discard("")
    compiled.connections.upstream[node.id].ids.extend(sorted(before))
    used = set(before)
    if node.WhichOneof("target") == "branch_node":
        for arm in arms_of(node.branch_node.if_else):
            used |= _connect(compiled, arm)
    return used


def definition(
    nodes: Sequence[Any],
    output: str,
    *,
    subs: Sequence[Any] = (),
    tasks: Sequence[Any] = (),
    fail_late: bool = False,
    failure_node: Any | None = None,
) -> Definition:
    """Return an indexed closure; without tasks there is one, `t`."""
    closure = compiler_pb2.CompiledWorkflowClosure(
        primary=workflow("main", nodes, output, fail_late=fail_late),
        sub_workflows=subs,
    )
    if failure_node is not None:
        closure.primary.template.failure_node.CopyFrom(failure_node)
    for template in tasks or (task_template(),):
        closure.tasks.add().template.CopyFrom(template)
    return definition_of(closure)
