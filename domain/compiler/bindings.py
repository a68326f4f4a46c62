"""Checks that every input is bound once, to a value of its type (ref §3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from flyteidl.core import literals_pb2, types_pb2

from domain.compiler.errors import Code, Findings, Violation
from domain.compiler.interfaces import Interface
from domain.compiler.promises import Sources, promised_type
from domain.literals.casting import castable
from domain.literals.literal_types import allows_none, describe, scalar_type


def check_bindings(
    node_id: str,
    bindings: Sequence[literals_pb2.Binding],
    interface: Interface,
    sources: Sources,
    found: Findings,
) -> None:
    """Check a node's bindings against its interface."""
    bound = {binding.var for binding in bindings}
    for binding in _once_each(node_id, bindings, found):
        expected = interface.inputs.get(binding.var)
        if expected is None:
            text = f"Expected no input '{binding.var}', but it is bound"
            found.add(Code.VARIABLE_NAME_NOT_FOUND, node_id, text)
            continue
        for violation in _violations(binding.binding, expected, sources):
            text = f"input '{binding.var}': {violation.text}"
            found.add(violation.code, node_id, text)
    for name, expected in interface.inputs.items():
        if name in bound or name in interface.optional or allows_none(expected):
            continue
        text = f"Expected input '{name}' to be bound, but it is not"
        found.add(Code.PARAMETER_NOT_BOUND, node_id, text)


def bound_types(
    node_id: str,
    bindings: Iterable[literals_pb2.Binding],
    sources: Sources,
    found: Findings,
) -> dict[str, types_pb2.LiteralType | None]:
    """Return the types of the bindings of a node that declares no inputs."""
    types: dict[str, types_pb2.LiteralType | None] = {}
    for binding in _once_each(node_id, bindings, found):
        given = _given(binding.binding, sources)
        if isinstance(given, Violation):
            found.add(given.code, node_id, f"input '{binding.var}': {given.text}")
            given = None
        types[binding.var] = given
    return types


def _once_each(
    node_id: str, bindings: Iterable[literals_pb2.Binding], found: Findings
) -> Iterator[literals_pb2.Binding]:
    seen: set[str] = set()
    for binding in bindings:
        if binding.var in seen:
            text = f"Expected input '{binding.var}' to be bound once, but it is twice"
            found.add(Code.PARAMETER_BOUND_MORE_THAN_ONCE, node_id, text)
        elif not binding.HasField("binding"):
            text = f"Expected input '{binding.var}' to have a value, but it has none"
            found.add(Code.VALUE_REQUIRED, node_id, text)
        else:
            yield binding
        seen.add(binding.var)


def _violations(
    data: literals_pb2.BindingData, expected: types_pb2.LiteralType, sources: Sources
) -> Iterator[Violation]:
    kind, expected_kind = data.WhichOneof("value"), expected.WhichOneof("type")
    if kind == "promise":
        yield from _promise_violations(data.promise, expected, sources)
    elif kind == "scalar":
        yield from _scalar_violations(data.scalar, expected)
    elif expected_kind == "union_type":
        yield from _union_violations(data, expected, sources)
    elif kind == "collection" and expected_kind == "collection_type":
        for item in data.collection.bindings:
            yield from _violations(item, expected.collection_type, sources)
    elif kind == "map" and expected_kind == "map_value_type":
        for item in data.map.bindings.values():
            yield from _violations(item, expected.map_value_type, sources)
    else:
        text = (
            f"Expected a {describe(expected)}, but it is bound to a {kind or 'nothing'}"
        )
        yield Violation(Code.MISMATCHING_BINDINGS, text)


def _promise_violations(
    promise: types_pb2.OutputReference,
    expected: types_pb2.LiteralType,
    sources: Sources,
) -> Iterator[Violation]:
    given = promised_type(promise, sources)
    if isinstance(given, Violation):
        yield given
    elif given is not None and not castable(given, expected):
        source = f"'{promise.var}' of node '{promise.node_id}'"
        text = f"Expected a {describe(expected)}, but {source} is a {describe(given)}"
        yield Violation(Code.MISMATCHING_TYPES, text)


def _scalar_violations(
    scalar: literals_pb2.Scalar, expected: types_pb2.LiteralType
) -> Iterator[Violation]:
    given = scalar_type(scalar)
    if given is None:
        text = f"Expected a {describe(expected)}, but it is bound to no known value"
        yield Violation(Code.UNRECOGNIZED_VALUE, text)
        return
    if not castable(given, expected):
        text = (
            f"Expected a {describe(expected)}, but it is bound to a {describe(given)}"
        )
        yield Violation(Code.MISMATCHING_TYPES, text)
    elif expected.WhichOneof("type") == "enum_type":
        value = scalar.primitive.string_value
        if value not in expected.enum_type.values:
            text = f"Expected {describe(expected)}, but it is bound to '{value}'"
            yield Violation(Code.ILLEGAL_ENUM_VALUE, text)


def _union_violations(
    data: literals_pb2.BindingData, expected: types_pb2.LiteralType, sources: Sources
) -> Iterator[Violation]:
    """Find exactly one variant that a list or map of bindings fits."""
    fitting = [
        variant
        for variant in expected.union_type.variants
        if next(_violations(data, variant, sources), None) is None
    ]
    if not fitting:
        text = f"Expected a {describe(expected)}, but no variant fits"
        yield Violation(Code.INCOMPATIBLE_BINDING_UNION_VALUE, text)
    elif len(fitting) > 1:
        both = " and ".join(describe(variant) for variant in fitting)
        text = f"Expected one fitting variant of {describe(expected)}, but {both} fit"
        yield Violation(Code.AMBIGUOUS_BINDING_UNION_VALUE, text)


def _given(
    data: literals_pb2.BindingData, sources: Sources
) -> types_pb2.LiteralType | Violation | None:
    kind = data.WhichOneof("value")
    if kind == "promise":
        return promised_type(data.promise, sources)
    if kind == "scalar":
        return scalar_type(data.scalar)
    is_list = kind == "collection"
    items = data.collection.bindings if is_list else data.map.bindings.values()
    item = _common_type([_given(each, sources) for each in items])
    if not isinstance(item, types_pb2.LiteralType):
        return item
    if is_list:
        return types_pb2.LiteralType(collection_type=item)
    return types_pb2.LiteralType(map_value_type=item)


def _common_type(
    given: Sequence[types_pb2.LiteralType | Violation | None],
) -> types_pb2.LiteralType | Violation | None:
    """Return the type that all items of a list or map have, None if there is none."""
    for item in given:
        if item is None or isinstance(item, Violation):
            return item
    if not given or any(item != given[0] for item in given[1:]):
        return None
    return given[0]
