"""The echo plugin: succeeds at once, passing its input on (ref §6.2)."""

from __future__ import annotations

from typing import Any

from flyteidl.core import literals_pb2, tasks_pb2, types_pb2

_ZERO: dict[int, dict[str, Any]] = {
    types_pb2.INTEGER: {"integer": 0},
    types_pb2.FLOAT: {"float_value": 0.0},
    types_pb2.STRING: {"string_value": ""},
    types_pb2.BOOLEAN: {"boolean": False},
}


def echo(template: tasks_pb2.TaskTemplate, inputs: Any, index: int = -1) -> bytes:
    """Return the outputs of an echo task, a serialized LiteralMap as its inputs.

    Inputs may also be a LiteralMap. One input and one output pass the value through,
    whatever their names; otherwise every output is its type's zero. An element of an
    array has an `index`: of a list it passes that item on.
    """
    asked = template.interface.inputs.variables
    offered = template.interface.outputs.variables
    outputs = literals_pb2.LiteralMap()
    if len(asked) == 1 and len(offered) == 1:
        (source,), (name,) = asked, offered
        if isinstance(inputs, bytes):
            inputs = literals_pb2.LiteralMap.FromString(inputs)
        given = inputs.literals
        if source in given:
            outputs.literals[name].CopyFrom(_item(given[source], index))
    for name, variable in offered.items():
        if name not in outputs.literals:
            outputs.literals[name].CopyFrom(_zero(_item_type(variable.type, index)))
    return bytes(outputs.SerializeToString(deterministic=True))


def _item(literal: Any, index: int) -> Any:
    items = literal.collection.literals
    return items[index] if 0 <= index < len(items) else literal


def _item_type(literal_type: Any, index: int) -> Any:
    is_list = literal_type.WhichOneof("type") == "collection_type"
    return literal_type.collection_type if index >= 0 and is_list else literal_type


def _zero(literal_type: Any) -> Any:
    kind = literal_type.WhichOneof("type")
    literal = literals_pb2.Literal()
    if kind == "collection_type":
        literal.collection.SetInParent()
    elif kind == "map_value_type":
        literal.map.SetInParent()
    elif kind == "simple":
        _set_simple(literal.scalar, literal_type.simple)
    elif kind == "enum_type" and literal_type.enum_type.values:
        literal.scalar.primitive.string_value = literal_type.enum_type.values[0]
    else:
        literal.scalar.none_type.SetInParent()
    return literal


def _set_simple(scalar: Any, simple: int) -> None:
    if simple in _ZERO:
        scalar.primitive.CopyFrom(literals_pb2.Primitive(**_ZERO[simple]))
    elif simple == types_pb2.DATETIME:
        scalar.primitive.datetime.SetInParent()
    elif simple == types_pb2.DURATION:
        scalar.primitive.duration.SetInParent()
    elif simple == types_pb2.STRUCT:
        scalar.generic.SetInParent()
    else:
        scalar.none_type.SetInParent()
