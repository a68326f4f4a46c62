"""Offloaded literals: which of them must be read to resolve a node's inputs.

Tasks write large outputs to blobs where they are told to (`_F_L_MIN_SIZE_MB`). Such a
literal is passed on as it is, except where the engine must look into its value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from flyteidl.core import literals_pb2, types_pb2

from domain.graph import START, GraphNode
from domain.literals.attribute_paths import (
    AttributePathError,
    attribute_key,
    is_index,
    promise_path,
)
from domain.literals.bindings import promises
from domain.literals.conditions import operand_names
from schemas.sites import NodeKind


def is_offloaded(literal: literals_pb2.Literal) -> bool:
    """Return whether a literal's value is in a blob of its own."""
    return literal.HasField("offloaded_metadata")


def offloaded_in_promises(
    bindings: Iterable[literals_pb2.Binding],
    sources: Mapping[str, literals_pb2.LiteralMap],
) -> list[literals_pb2.Literal]:
    """Return the literals of the sources that must be read to resolve the bindings.

    They are parts of the sources, to be filled in place.
    """
    return [
        found
        for binding in bindings
        for promise in promises(binding.binding)
        for found in _on_path(promise, sources)
    ]


def offloaded_inputs(
    inputs: literals_pb2.LiteralMap, names: Collection[str]
) -> list[literals_pb2.Literal]:
    """Return the inputs of these names that are offloaded."""
    literals = inputs.literals
    return [literals[n] for n in names if n in literals and is_offloaded(literals[n])]


def inspected_inputs(graph_node: GraphNode) -> tuple[str, ...]:
    """Return the names of the inputs whose values the engine itself looks into."""
    spec = graph_node.spec
    if graph_node.kind is NodeKind.ARRAY:
        bound = set(spec.array_node.bound_inputs)
        return tuple(b.var for b in spec.inputs if b.var not in bound)
    if graph_node.kind is NodeKind.BRANCH:
        return operand_names(spec.branch_node.if_else)
    return ()


def _on_path(
    promise: types_pb2.OutputReference,
    sources: Mapping[str, literals_pb2.LiteralMap],
) -> Iterator[literals_pb2.Literal]:
    """Follow a promise as far as it leads; resolving it reports what is missing."""
    if not promise.attr_path and not promise.var.startswith("["):
        return
    try:
        var, path = promise_path(promise)
    except AttributePathError:
        return
    outputs = sources.get(promise.node_id or START, literals_pb2.LiteralMap()).literals
    if var in outputs:
        yield from _follow(outputs[var], path)


def _follow(
    literal: literals_pb2.Literal, path: Sequence[types_pb2.PromiseAttribute]
) -> Iterator[literals_pb2.Literal]:
    for number, attribute in enumerate(path):
        if is_offloaded(literal):
            yield literal
            return
        kind, key = literal.WhichOneof("value"), attribute_key(attribute)
        if kind == "map" and key in literal.map.literals:
            literal = literal.map.literals[str(key)]
        elif kind == "collection" and is_index(key, literal.collection.literals):
            literal = literal.collection.literals[key]
        elif kind == "scalar" and literal.scalar.HasField("union"):
            yield from _follow(literal.scalar.union.value, path[number:])
            return
        else:
            return
