"""Bindings: a node's inputs from literals and upstream outputs (ref §4.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flyteidl.core import literals_pb2, types_pb2

from domain.graph import START
from domain.literals.attribute_paths import AttributePathError, promise_path, value_at
from domain.literals.literal_types import none_literal
from schemas.values import ErrorKind, Failure


def source_node_ids(bindings: Iterable[literals_pb2.Binding]) -> frozenset[str]:
    """Return the ids of the nodes whose outputs the bindings use."""
    found = (promise for b in bindings for promise in promises(b.binding))
    return frozenset(promise.node_id or START for promise in found)


def promises(data: literals_pb2.BindingData) -> Iterator[types_pb2.OutputReference]:
    """Yield every promise in a binding."""
    kind = data.WhichOneof("value")
    if kind == "promise":
        yield data.promise
    elif kind == "collection":
        for item in data.collection.bindings:
            yield from promises(item)
    elif kind == "map":
        for item in data.map.bindings.values():
            yield from promises(item)


def resolve(
    bindings: Iterable[literals_pb2.Binding],
    sources: Mapping[str, literals_pb2.LiteralMap],
) -> literals_pb2.LiteralMap | Failure:
    """Return every bound input, or why one can't be resolved.

    `sources` holds the outputs of each node of `source_node_ids`.
    """
    resolved = literals_pb2.LiteralMap()
    for binding in bindings:
        try:
            literal = _literal(binding.binding, sources)
        except AttributePathError as error:
            return Failure(
                code="BindingResolutionFailure",
                message=f"Expected to resolve input '{binding.var}', but {error}",
                kind=ErrorKind.SYSTEM,
            )
        resolved.literals[binding.var].CopyFrom(literal)
    return resolved


def _literal(
    data: literals_pb2.BindingData, sources: Mapping[str, literals_pb2.LiteralMap]
) -> literals_pb2.Literal:
    kind = data.WhichOneof("value")
    if kind == "scalar":
        return literals_pb2.Literal(scalar=data.scalar)
    if kind == "promise":
        return _promised(data.promise, sources)
    if kind == "collection":
        items = [_literal(item, sources) for item in data.collection.bindings]
        collection = literals_pb2.LiteralCollection(literals=items)
        return literals_pb2.Literal(collection=collection)
    if kind == "map":
        literals = {k: _literal(v, sources) for k, v in data.map.bindings.items()}
        return literals_pb2.Literal(map=literals_pb2.LiteralMap(literals=literals))
    return none_literal()


def _promised(
    promise: types_pb2.OutputReference, sources: Mapping[str, literals_pb2.LiteralMap]
) -> literals_pb2.Literal:
    node_id = promise.node_id or START
    var, path = promise_path(promise)
    outputs = sources.get(node_id, literals_pb2.LiteralMap()).literals
    if var not in outputs:
        message = f"node '{node_id}' has no output '{var}'"
        raise AttributePathError(message)
    return value_at(outputs[var], path)
