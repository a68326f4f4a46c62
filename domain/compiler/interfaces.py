"""What a node asks for and offers: the interface of each kind (ref §3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyteidl.core import types_pb2

from domain.compiler.errors import Findings
from domain.graph import arms_of, entity_ref
from schemas.ids import EntityRef


@dataclass(frozen=True, slots=True)
class LaunchPlanInterface:
    """A launch plan as a node sees it: core.ParameterMap and core.VariableMap."""

    expected_inputs: Any
    expected_outputs: Any


@dataclass(frozen=True, slots=True)
class Interface:
    """Types by name; `optional` inputs may stay unbound."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Library:
    """Everything that nodes may refer to."""

    tasks: Mapping[EntityRef, Any]
    launch_plans: Mapping[EntityRef, LaunchPlanInterface]
    sub_workflows: Mapping[EntityRef, Any] = field(default_factory=dict)


NOTHING = Interface({}, {})


def types_of(variables: Any) -> dict[str, Any]:
    """Return the types of a core.VariableMap by name."""
    return {name: variable.type for name, variable in variables.variables.items()}


def interface_of(node: Any, library: Library, found: Findings) -> Interface | None:
    """Return a node's interface; None, and an error, if what it refers to is gone."""
    kind = node.WhichOneof("target")
    if kind == "task_node":
        return _task(node, node.task_node.reference_id, library, found)
    if kind == "workflow_node":
        return _workflow(node, library, found)
    if kind == "branch_node":
        return _branch(node, library, found)
    if kind == "gate_node":
        return _gate(node)
    if kind == "array_node":
        return _array(node, library, found)
    found.add("ValueRequired", node.id, "Expected a target, but the node has none")
    return None


def _task(
    node: Any, identifier: Any, library: Library, found: Findings
) -> Interface | None:
    task = library.tasks.get(entity_ref(identifier))
    if task is None:
        ref = entity_ref(identifier).text()
        found.add("TaskReferenceNotFound", node.id, f"Referenced Task [{ref}] not found.")
        return None
    return Interface(types_of(task.interface.inputs), types_of(task.interface.outputs))


def _workflow(node: Any, library: Library, found: Findings) -> Interface | None:
    target = node.workflow_node
    if target.WhichOneof("reference") == "launchplan_ref":
        ref = entity_ref(target.launchplan_ref)
        plan = library.launch_plans.get(ref)
        if plan is None:
            found.add(
                "WorkflowReferenceNotFound",
                node.id,
                f"Referenced Launch Plan [{ref.text()}] not found.",
            )
            return None
        parameters = plan.expected_inputs.parameters
        return Interface(
            {name: p.var.type for name, p in parameters.items()},
            types_of(plan.expected_outputs),
            frozenset(n for n, p in parameters.items() if not p.required),
        )
    ref = entity_ref(target.sub_workflow_ref)
    sub = library.sub_workflows.get(ref)
    if sub is None:
        found.add(
            "WorkflowReferenceNotFound",
            node.id,
            f"Referenced Workflow [{ref.text()}] not found.",
        )
        return None
    return Interface(types_of(sub.interface.inputs), types_of(sub.interface.outputs))


def _branch(node: Any, library: Library, found: Findings) -> Interface:
    """Return a branch's: its inputs are what is bound, outputs what all arms offer."""
    offers: list[Mapping[str, Any]] = []
    for arm in arms_of(node.branch_node.if_else):
        interface = interface_of(arm, library, found)
        if interface is not None:
            offers.append(interface.outputs)
    common = dict(offers[0]) if offers else {}
    for outputs in offers[1:]:
        common = {name: kind for name, kind in common.items() if name in outputs}
    return Interface({}, common)


def _gate(node: Any) -> Interface:
    gate = node.gate_node
    kind = gate.WhichOneof("condition")
    if kind == "signal":
        return Interface({}, {gate.signal.output_variable_name: gate.signal.type})
    if kind == "approve":
        return Interface({}, {b.var: ANY for b in node.inputs})
    return NOTHING


def _array(node: Any, library: Library, found: Findings) -> Interface | None:
    """Return an array's: a task's as registered, a launch plan's in lists."""
    sub = node.array_node.node
    interface = interface_of(sub, library, found)
    if interface is None or sub.WhichOneof("target") == "task_node":
        return interface
    bound = set(node.array_node.bound_inputs)
    return Interface(
        {n: t if n in bound else _list(t) for n, t in interface.inputs.items()},
        {n: _list(t) for n, t in interface.outputs.items()},
        interface.optional,
    )


def _list(inner: Any) -> Any:
    return types_pb2.LiteralType(collection_type=inner)


ANY = types_pb2.LiteralType()
"""The type of what passes through a gate: the binding's own."""
