"""Literals that lie in blobs of their own: which must be read to resolve inputs.

Tasks put large outputs aside where they are told to (`_F_L_MIN_SIZE_MB`). Such a
literal is handed on as it is, but for what must be looked into.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from domain.graph import START, GraphNode
from domain.literals.bindings import attribute_key, promise_path, promises
from domain.literals.conditions import operand_names

OFFLOADED = "offloaded_metadata"


def is_offloaded(literal: Any) -> bool:
    """Tell whether a core.Literal lies in a blob of its own."""
    return bool(literal.WhichOneof("value") == OFFLOADED)


def offloaded_in_promises(
    bindings: Iterable[Any], sources: Mapping[str, Any]
) -> list[Any]:
    """Return the literals of the sources that must be read to resolve the bindings.

    They are part of the sources' core.LiteralMaps, to be filled in place.
    """
    return [
        found
        for binding in bindings
        for promise in promises(binding.binding)
        for found in _on_the_path(promise, sources)
    ]


def offloaded_inputs(resolved: Any, names: Collection[str]) -> list[Any]:
    """Return the inputs of these names that are put aside."""
    literals = resolved.literals
    return [literals[n] for n in names if n in literals and is_offloaded(literals[n])]


def inspected_inputs(graph_node: GraphNode) -> tuple[str, ...]:
    """Return the inputs whose values the engine itself looks into."""
    spec = graph_node.spec
    if graph_node.kind == "array":
        bound = set(spec.array_node.bound_inputs)
        return tuple(b.var for b in spec.inputs if b.var not in bound)
    if graph_node.kind == "branch":
        return tuple(operand_names(spec.branch_node.if_else))
    return ()


def _on_the_path(promise: Any, sources: Mapping[str, Any]) -> Iterator[Any]:
    """Walk as far as what is there leads; what is missing, resolving will tell."""
    if not promise.attr_path and not promise.var.startswith("["):
        return
    try:
        var, path = promise_path(promise)
    except ValueError:
        return
    node_id = promise.node_id or START
    outputs = sources[node_id].literals if node_id in sources else {}
    if var in outputs:
        yield from _walk(outputs[var], path)


def _walk(literal: Any, path: Sequence[Any]) -> Iterator[Any]:
    for number, attribute in enumerate(path):
        if is_offloaded(literal):
            yield literal
            return
        kind, key = literal.WhichOneof("value"), attribute_key(attribute)
        if kind == "map" and key in literal.map.literals:
            literal = literal.map.literals[key]
        elif kind == "collection" and _is_index(key, literal.collection.literals):
            literal = literal.collection.literals[key]
        elif kind == "scalar" and literal.scalar.WhichOneof("value") == "union":
            yield from _walk(literal.scalar.union.value, path[number:])
            return
        else:
            return


def _is_index(key: str | int, items: Sequence[Any]) -> bool:
    return isinstance(key, int) and -len(items) <= key < len(items)
