"""Arrays: their size, the inputs of an element, and the lists of outputs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from flyteidl.core import literals_pb2, tasks_pb2, types_pb2, workflow_pb2

from domain.graph import START, Graph, GraphNode
from domain.literals.bindings import promises
from schemas.ids import EntityRef
from schemas.sites import NodeKind
from schemas.values import ErrorKind, Failure

INLINE_BYTES_MAX = 2048
"""The largest lists that each element's dispatch carries; larger ones go as a blob."""


def is_sliced(graph_node: GraphNode) -> bool:
    """Return whether each element gets its own items, not the lists."""
    array = graph_node.spec.array_node
    own = array.data_mode == workflow_pb2.ArrayNode.INDIVIDUAL_INPUT_FILES
    element = graph_node.element
    return own or (element is not None and element.kind is NodeKind.LAUNCH_PLAN)


def array_size(
    inputs: literals_pb2.LiteralMap, bound: Collection[str]
) -> int | Failure:
    """Return how many elements an array of these inputs has (ref §5.7).

    `bound` names the inputs that every element gets as they are.
    """
    lengths = {
        name: len(literal.collection.literals)
        for name, literal in inputs.literals.items()
        if name not in bound and literal.HasField("collection")
    }
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"'{name}' {lengths[name]}" for name in sorted(lengths))
        return _no_size(f"lists of one length, but their lengths are: {found}")
    if lengths:
        return next(iter(lengths.values()))
    if all(name in bound for name in inputs.literals):
        return 1
    return _no_size("an input that is a list, but there is none")


def _no_size(found: str) -> Failure:
    message = f"Expected the array to have {found}"
    return Failure(code="InvalidArrayLength", message=message, kind=ErrorKind.USER)


def required_successes(array: workflow_pb2.ArrayNode, size: int) -> int:
    """Return how many of an array's elements must succeed.

    0 means all: flytekit sends it where no minimum is set, and can't ask for none.
    """
    criteria = array.WhichOneof("success_criteria")
    if criteria == "min_successes" and array.min_successes:
        return array.min_successes
    if criteria == "min_success_ratio":
        # A ratio is sent with 24 bits: 0.6 of five elements are three, not four.
        return math.ceil(size * float(f"{array.min_success_ratio:.6g}"))
    return size


def element_bindings(
    names: Iterable[str], bound: Collection[str], index: int
) -> list[literals_pb2.Binding]:
    """Return bindings that take an element's inputs from those of its array."""
    bindings = []
    for name in sorted(names):
        promise = types_pb2.OutputReference(node_id=START, var=name)
        if name not in bound:
            promise.attr_path.add(int_value=index)
        data = literals_pb2.BindingData(promise=promise)
        bindings.append(literals_pb2.Binding(var=name, binding=data))
    return bindings


def output_names(
    graph: Graph,
    graph_node: GraphNode,
    tasks: Mapping[EntityRef, tasks_pb2.TaskTemplate],
) -> tuple[str, ...]:
    """Return the names of an array's outputs: a launch plan's are those in use."""
    template = None if graph_node.target is None else tasks.get(graph_node.target)
    if template is not None:
        return tuple(sorted(template.interface.outputs.variables))
    names = {
        promise.var
        for node in graph.nodes.values()
        for binding in node.spec.inputs
        for promise in promises(binding.binding)
        if promise.node_id == graph_node.id
    }
    return tuple(sorted(names))


def collect_outputs(
    names: Collection[str], size: int, outputs: Mapping[int, literals_pb2.LiteralMap]
) -> literals_pb2.LiteralMap:
    """Return the outputs of all elements as lists; None for one without outputs.

    `names` are the outputs that must be there, `outputs` those of each element.
    """
    found = literals_pb2.LiteralMap()
    for name in names:
        found.literals[name].collection.SetInParent()
    for literals in outputs.values():
        for name in literals.literals:
            found.literals[name].collection.SetInParent()
    nothing = literals_pb2.LiteralMap()
    for name, literal in found.literals.items():
        items = literal.collection.literals
        for index in range(size):
            known = outputs.get(index, nothing).literals
            item = items.add()
            if name in known:
                item.CopyFrom(known[name])
            else:
                item.scalar.none_type.SetInParent()
    return found
