"""Checks that every input is bound once, to something that fits (ref §3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flyteidl.core import literals_pb2, types_pb2

from domain.compiler.errors import Findings
from domain.compiler.interfaces import Interface
from domain.types import allows_none, castable, describe, literal_type

Outputs = Mapping[str, Interface | None]


class _Misfit(Exception):
    """A binding doesn't fit its parameter."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        super().__init__(why)


def check(
    node_id: str,
    bindings: Sequence[Any],
    interface: Interface,
    nodes: Outputs,
    found: Findings,
) -> None:
    """Check a node's bindings against its interface."""
    seen: set[str] = set()
    for binding in bindings:
        var = binding.var
        if var in seen:
            found.add(
                "ParameterBoundMoreThanOnce", node_id, f"Input [{var}] is bound twice."
            )
        seen.add(var)
        asked = interface.inputs.get(var)
        if asked is None:
            found.add(
                "VariableNameNotFound", node_id, f"Variable [{var}] not found on node."
            )
            continue
        try:
            _fit(binding.binding, asked, nodes)
        except _Misfit as misfit:
            found.add(misfit.code, node_id, f"Input [{var}]: {misfit}")
    for var, asked in interface.inputs.items():
        if var not in seen and var not in interface.optional and not allows_none(asked):
            found.add("ParameterNotBound", node_id, f"Parameter not bound [{var}].")


def check_promises(node_id: str, data: Any, nodes: Outputs, found: Findings) -> None:
    """Check that what a binding without a declared type names exists."""
    try:
        promised_type(data, nodes)
    except _Misfit as misfit:
        found.add(misfit.code, node_id, str(misfit))


def _fit(data: Any, asked: Any, nodes: Outputs) -> None:
    kind = data.WhichOneof("value")
    if kind in {"collection", "map"} and asked.WhichOneof("type") == "union_type":
        _fit_union(data, asked, nodes)
        return
    if kind == "collection":
        if asked.WhichOneof("type") != "collection_type":
            raise _mismatch("list", asked)
        for item in data.collection.bindings:
            _fit(item, asked.collection_type, nodes)
        return
    if kind == "map":
        if asked.WhichOneof("type") != "map_value_type":
            raise _mismatch("map", asked)
        for item in data.map.bindings.values():
            _fit(item, asked.map_value_type, nodes)
        return
    if kind == "scalar":
        _fit_scalar(data.scalar, asked)
        return
    given = promised_type(data, nodes)
    if given is not None and not castable(given, asked):
        raise _mismatch(describe(given), asked)


def _mismatch(given: str, asked: Any) -> _Misfit:
    return _Misfit(
        "MismatchingTypes", f"Expected {describe(asked)}, but it is bound to {given}."
    )


def _fit_scalar(scalar: Any, asked: Any) -> None:
    if asked.WhichOneof("type") == "enum_type":
        value = scalar.primitive.string_value
        if value not in asked.enum_type.values:
            why = f"Expected {describe(asked)}, but it is bound to '{value}'."
            raise _Misfit("IllegalEnumValue", why)
        return
    given = literal_type(literals_pb2.Literal(scalar=scalar))
    if given is None or not castable(given, asked):
        raise _mismatch(describe(given) if given else "nothing", asked)


def _fit_union(data: Any, asked: Any, nodes: Outputs) -> None:
    fitting = 0
    for variant in asked.union_type.variants:
        try:
            _fit(data, variant, nodes)
        except _Misfit:
            continue
        fitting += 1
    if fitting == 0:
        why = f"Expected {describe(asked)}, but no variant fits."
        raise _Misfit("IncompatibleBindingUnionValue", why)
    if fitting > 1:
        why = f"Expected one variant of {describe(asked)}, but several fit."
        raise _Misfit("AmbiguousBindingUnionValue", why)


def promised_type(data: Any, nodes: Outputs) -> Any | None:
    """Return the type of what a promise names; None where it can't be known."""
    if data.WhichOneof("value") != "promise":
        return None
    promise = data.promise
    if promise.node_id not in nodes:
        why = f"Referenced node [{promise.node_id}] not found."
        raise _Misfit("NodeReferenceNotFound", why)
    interface = nodes[promise.node_id]
    if interface is None:
        return None
    var, path = promise.var, list(promise.attr_path)
    if var.startswith("[") and "]." in var:
        var = var.split("].", 1)[1]
    given = interface.outputs.get(var)
    if given is None:
        why = f"Variable [{var}] not found on node [{promise.node_id}]."
        raise _Misfit("VariableNameNotFound", why)
    return _walk(given, path)


def _walk(given: Any, path: Sequence[Any]) -> Any | None:
    for attribute in path:
        kind = given.WhichOneof("type")
        if kind == "collection_type":
            given = given.collection_type
        elif kind == "map_value_type":
            given = given.map_value_type
        elif kind == "simple" and given.simple == types_pb2.STRUCT:
            fields = given.structure.dataclass_type
            if attribute.string_value not in fields:
                return None
            given = fields[attribute.string_value]
        elif kind == "union_type" or kind is None:
            return None
        else:
            why = f"attribute {attribute.string_value!r} of a {describe(given)}"
            raise _Misfit("FieldNotFound", f"Expected a field, but found {why}.")
    return given if given.WhichOneof("type") else None
