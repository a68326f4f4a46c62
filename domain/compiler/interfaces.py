"""Interfaces: the inputs and outputs of each kind of node (ref §3.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flyteidl.core import (
    identifier_pb2,
    interface_pb2,
    tasks_pb2,
    types_pb2,
    workflow_pb2,
)

from domain.compiler.errors import Code, Findings
from domain.graph import entity_ref
from schemas.ids import EntityRef

OutputTypes = Mapping[str, types_pb2.LiteralType | None]
"""Types of a node's outputs by name; None for one that isn't known."""


@dataclass(frozen=True, slots=True)
class LaunchPlanInterface:
    """A launch plan as its callers see it; fixed inputs are not among its inputs."""

    expected_inputs: interface_pb2.ParameterMap
    expected_outputs: interface_pb2.VariableMap


@dataclass(frozen=True, slots=True)
class Interface:
    """Types by name; `optional` inputs may stay unbound."""

    inputs: Mapping[str, types_pb2.LiteralType]
    outputs: OutputTypes
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Library:
    """The entities that nodes may refer to; their interfaces are read once each."""

    tasks: Mapping[EntityRef, tasks_pb2.TaskTemplate]
    launch_plans: Mapping[EntityRef, LaunchPlanInterface]
    sub_workflows: Mapping[EntityRef, workflow_pb2.WorkflowTemplate]
    _read: dict[EntityRef, Interface | None] = field(default_factory=dict)

    def interface(self, identifier: identifier_pb2.Identifier) -> Interface | None:
        """Return the interface of an entity, None if it isn't known."""
        ref = entity_ref(identifier)
        if ref not in self._read:
            self._read[ref] = self._look_up(ref)
        return self._read[ref]

    def _look_up(self, ref: EntityRef) -> Interface | None:
        if ref in self.launch_plans:
            return _of_launch_plan(self.launch_plans[ref])
        template = self.tasks.get(ref) or self.sub_workflows.get(ref)
        if template is None:
            return None
        inputs = types_of(template.interface.inputs)
        return Interface(inputs, types_of(template.interface.outputs))


NO_VARIABLES = Interface({}, {})


def types_of(
    variables: interface_pb2.VariableMap,
) -> dict[str, types_pb2.LiteralType]:
    """Return the types of variables by name."""
    return {name: variable.type for name, variable in variables.variables.items()}


def declared_interface(
    node: workflow_pb2.Node, library: Library, found: Findings
) -> Interface | None:
    """Return the interface of a node that refers to an entity or declares its own.

    That is all but branches and approvals, whose types are those of their bindings.
    Returns None and adds a finding if the node has no valid reference or declaration.
    """
    target = node.WhichOneof("target")
    if target == "task_node":
        return _of_task(node, library, found)
    if target == "workflow_node":
        return _of_workflow(node, library, found)
    if target == "gate_node":
        return _of_gate(node, found)
    if target == "array_node":
        return _of_array(node.array_node, library, found)
    found.add(Code.VALUE_REQUIRED, node.id, "Expected a target, but the node has none")
    return None


def _of_task(
    node: workflow_pb2.Node, library: Library, found: Findings
) -> Interface | None:
    if not node.task_node.HasField("reference_id"):
        text = "Expected a task to be named, but none is"
        found.add(Code.VALUE_REQUIRED, node.id, text)
        return None
    identifier = node.task_node.reference_id
    interface = library.interface(identifier)
    if interface is None:
        text = f"Expected task {_name(identifier)}, but it is not found"
        found.add(Code.TASK_REFERENCE_NOT_FOUND, node.id, text)
    return interface


def _of_workflow(
    node: workflow_pb2.Node, library: Library, found: Findings
) -> Interface | None:
    reference = node.workflow_node.WhichOneof("reference")
    if reference is None:
        text = "Expected a workflow or launch plan to be named, but none is"
        found.add(Code.WORKFLOW_REFERENCE_NOT_FOUND, node.id, text)
        return None
    identifier: identifier_pb2.Identifier = getattr(node.workflow_node, reference)
    interface = library.interface(identifier)
    if interface is None:
        kind = "launch plan" if reference == "launchplan_ref" else "sub-workflow"
        text = f"Expected {kind} {_name(identifier)}, but it is not found"
        found.add(Code.WORKFLOW_REFERENCE_NOT_FOUND, node.id, text)
    return interface


def _of_launch_plan(plan: LaunchPlanInterface) -> Interface:
    parameters = plan.expected_inputs.parameters
    return Interface(
        {name: parameter.var.type for name, parameter in parameters.items()},
        types_of(plan.expected_outputs),
        frozenset(n for n, parameter in parameters.items() if not parameter.required),
    )


def _of_gate(node: workflow_pb2.Node, found: Findings) -> Interface | None:
    condition = node.gate_node.WhichOneof("condition")
    if condition == "sleep":
        return NO_VARIABLES
    if condition is None:
        text = "Expected a gate with a condition, but it has none"
        found.add(Code.NO_CONDITION_FOUND, node.id, text)
        return None
    signal = node.gate_node.signal
    for part, is_set in (
        ("type", signal.type.WhichOneof("type") is not None),
        ("output variable name", bool(signal.output_variable_name)),
    ):
        if not is_set:
            text = f"Expected a signal with a {part}, but it has none"
            found.add(Code.VALUE_REQUIRED, node.id, text)
            return None
    return Interface({}, {signal.output_variable_name: signal.type})


def _of_array(
    array: workflow_pb2.ArrayNode, library: Library, found: Findings
) -> Interface | None:
    """Return the sub-node's interface as lists, if it isn't so already (ref §3.4)."""
    interface = declared_interface(array.node, library, found)
    if interface is None:
        return None
    is_task = array.node.WhichOneof("target") == "task_node"
    if is_task and not array.is_original_sub_node_interface.value:
        return interface
    bound = set(array.bound_inputs)
    return Interface(
        {n: t if n in bound else _list_of(t) for n, t in interface.inputs.items()},
        {n: None if t is None else _list_of(t) for n, t in interface.outputs.items()},
        interface.optional,
    )


def _list_of(item: types_pb2.LiteralType) -> types_pb2.LiteralType:
    return types_pb2.LiteralType(collection_type=item)


def _name(identifier: identifier_pb2.Identifier) -> str:
    return entity_ref(identifier).text()


def with_aliases(
    node: workflow_pb2.Node, interface: Interface, found: Findings
) -> Interface:
    """Return the interface with the outputs named as the node's aliases say."""
    if not node.output_aliases:
        return interface
    outputs = dict(interface.outputs)
    seen: set[str] = set()
    for alias in node.output_aliases:
        if alias.var in seen:
            text = f"Expected one alias of output '{alias.var}', but there are several"
            found.add(Code.DUPLICATE_ALIAS, node.id, text)
        elif alias.var not in interface.outputs:
            text = f"Expected output '{alias.var}' for an alias, but there is none"
            found.add(Code.PARAMETER_NOT_BOUND, node.id, text)
        else:
            outputs.pop(alias.var, None)
            outputs[alias.alias] = interface.outputs[alias.var]
        seen.add(alias.var)
    return Interface(interface.inputs, outputs, interface.optional)
