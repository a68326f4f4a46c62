"""Failing: what a failure node is told, and what may run beside it (ref §4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.core import literals_pb2, types_pb2

from domain.execution.decision import Step
from domain.graph import GraphNode
from schemas.phases import ExecutionPhase, NodePhase

ERR = "err"
_OPEN = {NodePhase.RUNNING, NodePhase.DYNAMIC_RUNNING, ExecutionPhase.RUNNING}
_ERROR_TYPE = types_pb2.LiteralType(
    simple=types_pb2.ERROR, structure=types_pb2.TypeStructure(tag="FlyteError")
)


def is_open(step: Step, scope: str, graph_node: GraphNode) -> bool:
    """Tell whether a node may begin: in a failing workflow the failure node alone."""
    phase = step.node(scope).phase if scope else step.state.phase
    if graph_node.is_failure:
        return phase in {NodePhase.FAILING, ExecutionPhase.FAILING}
    return phase in _OPEN


def bindings_of(step: Step, scope: str, graph_node: GraphNode) -> Sequence[Any]:
    """Return what a node's inputs are bound to: `err` of a failure node to the error.

    It names the node that failed; Flyte names the failure node itself (#6307).
    """
    bindings: Sequence[Any] = graph_node.spec.inputs
    if not graph_node.is_failure or graph_node.branch:
        return bindings
    kind = _type_of_err(step, scope, graph_node)
    if kind is None:
        return bindings
    others = [binding for binding in bindings if binding.var != ERR]
    error = _error(step, scope)
    if kind.WhichOneof("type") == "union_type":
        union = literals_pb2.Union(value={"scalar": error}, type=_ERROR_TYPE)
        error = literals_pb2.Scalar(union=union)
    data = literals_pb2.BindingData(scalar=error)
    return [*others, literals_pb2.Binding(var=ERR, binding=data)]


def _error(step: Step, scope: str) -> Any:
    state = step.state
    failure = step.node(scope).last_failure if scope else state.failure
    is_a_node_s = failure is not None and state.failures.get(scope) == failure
    return literals_pb2.Scalar(
        error=types_pb2.Error(
            message=failure.message if failure else "",
            failed_node_id=state.failed_nodes[scope] if is_a_node_s else "",
        )
    )


def _type_of_err(step: Step, scope: str, graph_node: GraphNode) -> Any | None:
    """Return the type of the input `err` if it can hold an error, else None.

    What a launch plan asks for isn't known here; its `err` is known by its default.
    """
    interface = step.interface(scope, graph_node)
    if interface is None:
        return _bound_type(graph_node)
    if ERR not in interface.inputs.variables:
        return None
    kind = interface.inputs.variables[ERR].type
    variants = kind.union_type.variants or (kind,)
    holds = any(variant.simple == types_pb2.ERROR for variant in variants)
    return kind if holds else None


def _bound_type(graph_node: GraphNode) -> Any | None:
    for binding in graph_node.spec.inputs:
        union = binding.binding.scalar.union
        if binding.var == ERR and union.value.scalar.HasField("none_type"):
            return types_pb2.LiteralType(union_type=types_pb2.UnionType())
    return None
