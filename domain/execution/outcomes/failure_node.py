"""Failure nodes: the error that they are given, and what may run beside them.

(ref §4.1)
"""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.core import literals_pb2, types_pb2

from domain.execution.view import ExecutionView
from domain.graph import GraphNode
from schemas.phases import ExecutionPhase, NodePhase

ERR = "err"
_OPEN = {NodePhase.RUNNING, NodePhase.DYNAMIC_RUNNING, ExecutionPhase.RUNNING}
_ERROR_TYPE = types_pb2.LiteralType(
    simple=types_pb2.ERROR, structure=types_pb2.TypeStructure(tag="FlyteError")
)


def is_open(view: ExecutionView, scope: str, graph_node: GraphNode) -> bool:
    """Return whether a node may begin: in a failing workflow only the failure node."""
    phase = view.node(scope).phase if scope else view.state.phase
    if graph_node.is_failure:
        return phase in {NodePhase.FAILING, ExecutionPhase.FAILING}
    return phase in _OPEN


def bindings_of(
    view: ExecutionView, scope: str, graph_node: GraphNode
) -> Sequence[literals_pb2.Binding]:
    """Return what a node's inputs are bound to: a failure node's `err` to the error.

    It names the node that failed; Flyte names the failure node itself (#6307).
    """
    bindings: Sequence[literals_pb2.Binding] = graph_node.spec.inputs
    if not graph_node.is_failure or graph_node.branch:
        return bindings
    kind = _type_of_err(view, scope, graph_node)
    if kind is None:
        return bindings
    others = [binding for binding in bindings if binding.var != ERR]
    error = _error(view, scope)
    if kind.WhichOneof("type") == "union_type":
        value = literals_pb2.Literal(scalar=error)
        union = literals_pb2.Union(value=value, type=_ERROR_TYPE)
        error = literals_pb2.Scalar(union=union)
    data = literals_pb2.BindingData(scalar=error)
    return [*others, literals_pb2.Binding(var=ERR, binding=data)]


def _error(view: ExecutionView, scope: str) -> literals_pb2.Scalar:
    state = view.state
    failure = view.node(scope).last_failure if scope else state.failure
    last = state.failures.get(scope)
    is_a_nodes = last is not None and last.failure == failure
    return literals_pb2.Scalar(
        error=types_pb2.Error(
            message=failure.message if failure else "",
            failed_node_id=last.node_id if last is not None and is_a_nodes else "",
        )
    )


def _type_of_err(
    view: ExecutionView, scope: str, graph_node: GraphNode
) -> types_pb2.LiteralType | None:
    """Return the type of the input `err` if it can hold an error, else None.

    The interface of a launch plan isn't known here: its `err` is recognized by its
    default.
    """
    interface = view.interface(scope, graph_node)
    if interface is None:
        return _bound_type(graph_node)
    if ERR not in interface.inputs.variables:
        return None
    kind = interface.inputs.variables[ERR].type
    variants = kind.union_type.variants or (kind,)
    holds = any(variant.simple == types_pb2.ERROR for variant in variants)
    return kind if holds else None


def _bound_type(graph_node: GraphNode) -> types_pb2.LiteralType | None:
    for binding in graph_node.spec.inputs:
        union = binding.binding.scalar.union
        if binding.var == ERR and union.value.scalar.HasField("none_type"):
            return types_pb2.LiteralType(union_type=types_pb2.UnionType())
    return None
