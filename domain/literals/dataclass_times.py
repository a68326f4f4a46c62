"""Datetimes and durations from dataclasses, where they are texts and numbers.

An attribute taken from msgpack bytes has the type of its encoding; what it means is
known from the type that the node's input has (ref §4.3 leaves it as it is).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from flyteidl.core import interface_pb2, literals_pb2, types_pb2
from google.protobuf import duration_pb2, timestamp_pb2

from domain.literals.literal_types import is_none


def restore(
    inputs: literals_pb2.LiteralMap, variables: Mapping[str, interface_pb2.Variable]
) -> None:
    """Convert texts and numbers in place to the times that the variables declare.

    What can't be converted stays as it is: the task that reads it reports why.
    """
    for name, variable in variables.items():
        simple = _time_type(variable.type)
        if name not in inputs.literals or simple is None:
            continue
        literal = inputs.literals[name]
        if literal.scalar.HasField("primitive"):
            _convert(literal.scalar.primitive, simple)


def time_inputs(
    bindings: Iterable[literals_pb2.Binding],
    variables: Mapping[str, interface_pb2.Variable],
) -> bytes:
    """Return the inputs that `restore` may convert: a serialized core.VariableMap.

    They are times, and bound to attributes of other values; b"" if there are none.
    """
    found = interface_pb2.VariableMap()
    for binding in bindings:
        name = binding.var
        if not binding.binding.promise.attr_path or name not in variables:
            continue
        if _time_type(variables[name].type) is not None:
            found.variables[name].type.CopyFrom(variables[name].type)
    return found.SerializeToString(deterministic=True)


def _time_type(literal_type: types_pb2.LiteralType) -> types_pb2.SimpleType | None:
    """Return DATETIME or DURATION if the type is that, or an optional one of it."""
    if literal_type.HasField("union_type"):
        variants = [v for v in literal_type.union_type.variants if not is_none(v)]
        return _time_type(variants[0]) if len(variants) == 1 else None
    is_time = literal_type.simple in {types_pb2.DATETIME, types_pb2.DURATION}
    return literal_type.simple if is_time else None


def _convert(primitive: literals_pb2.Primitive, simple: types_pb2.SimpleType) -> None:
    kind = primitive.WhichOneof("value")
    if simple == types_pb2.DATETIME and kind == "string_value":
        try:
            parsed = datetime.fromisoformat(primitive.string_value)
        except ValueError:
            return
        stamp = timestamp_pb2.Timestamp()
        stamp.FromDatetime(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
        primitive.datetime.CopyFrom(stamp)
    elif simple == types_pb2.DURATION and kind in {"float_value", "integer"}:
        seconds: float = getattr(primitive, kind)
        duration = duration_pb2.Duration()
        try:
            duration.FromTimedelta(timedelta(seconds=seconds))
        except (OverflowError, ValueError):
            return
        primitive.duration.CopyFrom(duration)
