"""The echo plugin: succeeds at once, passing its input on (ref §0b.17)."""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2, tasks_pb2, types_pb2

from schemas.dispatches import RunTask
from schemas.values import Values

_ZERO: dict[int, dict[str, Any]] = {
    types_pb2.INTEGER: {"integer": 0},
    types_pb2.FLOAT: {"float_value": 0.0},
    types_pb2.STRING: {"string_value": ""},
    types_pb2.BOOLEAN: {"boolean": False},
}


def echo(dispatch: RunTask, inputs: bytes | None) -> Values:
    """Return the outputs of an echo task.

    One input and one output pass the value through, by reference if `inputs` is None;
    otherwise every output is its type's zero.
    """
    template = tasks_pb2.TaskTemplate.FromString(dispatch.template)
    asked = template.interface.inputs.variables
    offered = template.interface.outputs.variables
    outputs = literals_pb2.LiteralMap()
    given = literals_pb2.LiteralMap.FromString(inputs or b"")
    if len(asked) == 1 and len(offered) == 1:
        (source,), (name,) = asked, offered
        if source in given.literals:
            outputs.literals[name].CopyFrom(given.literals[source])
    for name, variable in offered.items():
        if name not in outputs.literals:
            outputs.literals[name].CopyFrom(_zero(variable.type))
    return Values(inline=outputs.SerializeToString(deterministic=True))


def _zero(literal_type: Any) -> Any:
    kind = literal_type.WhichOneof("type")
    literal = literals_pb2.Literal()
    if kind == "collection_type":
        literal.collection.SetInParent()
    elif kind == "map_value_type":
        literal.map.SetInParent()
    elif kind == "simple" and literal_type.simple in _ZERO:
        primitive = literals_pb2.Primitive(**_ZERO[literal_type.simple])
        literal.scalar.primitive.CopyFrom(primitive)
    elif kind == "simple" and literal_type.simple == types_pb2.DATETIME:
        literal.scalar.primitive.datetime.SetInParent()
    elif kind == "simple" and literal_type.simple == types_pb2.DURATION:
        literal.scalar.primitive.duration.SetInParent()
    elif kind == "enum_type" and literal_type.enum_type.values:
        literal.scalar.primitive.string_value = literal_type.enum_type.values[0]
    else:
        literal.scalar.none_type.SetInParent()
    return literal
