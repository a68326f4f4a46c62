"""The echo plugin: succeeds at once and passes its input on (ref §6.2)."""

from __future__ import annotations

from collections.abc import Mapping

from flyteidl.core import literals_pb2, tasks_pb2, types_pb2

_ZERO: Mapping[int, literals_pb2.Primitive] = {
    types_pb2.INTEGER: literals_pb2.Primitive(integer=0),
    types_pb2.FLOAT: literals_pb2.Primitive(float_value=0.0),
    types_pb2.STRING: literals_pb2.Primitive(string_value=""),
    types_pb2.BOOLEAN: literals_pb2.Primitive(boolean=False),
}


def echo(
    template: tasks_pb2.TaskTemplate,
    inputs: bytes | literals_pb2.LiteralMap,
    index: int | None = None,
) -> bytes:
    """Return the outputs of an echo task, as a serialized LiteralMap.

    Inputs may be serialized too. One input and one output pass the value through,
    whatever their names; otherwise every output is its type's zero. An element of an
    array has an `index`: it passes on that item of a list.
    """
    declared = template.interface.inputs.variables
    offered = template.interface.outputs.variables
    outputs = literals_pb2.LiteralMap()
    if len(declared) == 1 and len(offered) == 1:
        (source,), (name,) = declared, offered
        if isinstance(inputs, bytes):
            inputs = literals_pb2.LiteralMap.FromString(inputs)
        given = inputs.literals
        if source in given:
            outputs.literals[name].CopyFrom(_item(given[source], index))
    for name, variable in offered.items():
        if name not in outputs.literals:
            outputs.literals[name].CopyFrom(_zero(_item_type(variable.type, index)))
    return outputs.SerializeToString(deterministic=True)


def _item(literal: literals_pb2.Literal, index: int | None) -> literals_pb2.Literal:
    items = literal.collection.literals
    return items[index] if index is not None and index < len(items) else literal


def _item_type(
    literal_type: types_pb2.LiteralType, index: int | None
) -> types_pb2.LiteralType:
    is_list = literal_type.WhichOneof("type") == "collection_type"
    return (
        literal_type.collection_type if index is not None and is_list else literal_type
    )


def _zero(literal_type: types_pb2.LiteralType) -> literals_pb2.Literal:
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


def _set_simple(scalar: literals_pb2.Scalar, simple: int) -> None:
    if simple in _ZERO:
        scalar.primitive.CopyFrom(_ZERO[simple])
    elif simple == types_pb2.DATETIME:
        scalar.primitive.datetime.SetInParent()
    elif simple == types_pb2.DURATION:
        scalar.primitive.duration.SetInParent()
    elif simple == types_pb2.STRUCT:
        scalar.generic.SetInParent()
    else:
        scalar.none_type.SetInParent()
