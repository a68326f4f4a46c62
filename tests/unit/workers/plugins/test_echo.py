"""The echo plugin: values pass through, or are zero (ref §6.2)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2, tasks_pb2, types_pb2

from tests.support.flytekit import tasks as t
from workers.plugins.echo import echo

INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)


def task(inputs: dict[str, Any], outputs: dict[str, Any]) -> tasks_pb2.TaskTemplate:
    """Return an echo task with typed sides."""
    template = tasks_pb2.TaskTemplate(type="echo")
    for side, types in (("inputs", inputs), ("outputs", outputs)):
        for name, literal_type in types.items():
            variable = getattr(template.interface, side).variables[name]
            variable.type.CopyFrom(literal_type)
    return template


def outputs_of(template: tasks_pb2.TaskTemplate, inputs: bytes) -> Any:
    """Return the literals that an echo task gives."""
    return literals_pb2.LiteralMap.FromString(echo(template, inputs)).literals


@pytest.mark.parametrize("name", ["a", "b"])
def test_one_value_passes_through(name: str) -> None:
    """With one input and one output the value passes, whatever the names."""
    found = outputs_of(task({"a": INTEGER}, {name: INTEGER}), t.integers(a=7))
    assert found[name].scalar.primitive.integer == 7


def test_several_outputs_are_zero() -> None:
    """Otherwise each output is the zero of its type."""
    simple = types_pb2.SimpleType
    types = {
        "i": INTEGER,
        "f": types_pb2.LiteralType(simple=simple.FLOAT),
        "s": types_pb2.LiteralType(simple=simple.STRING),
        "b": types_pb2.LiteralType(simple=simple.BOOLEAN),
        "t": types_pb2.LiteralType(simple=simple.DATETIME),
        "d": types_pb2.LiteralType(simple=simple.DURATION),
        "g": types_pb2.LiteralType(simple=simple.STRUCT),
        "n": types_pb2.LiteralType(simple=simple.NONE),
        "l": types_pb2.LiteralType(collection_type=INTEGER),
        "m": types_pb2.LiteralType(map_value_type=INTEGER),
        "e": types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=["x", "y"])),
        "o": types_pb2.LiteralType(blob=types_pb2.BlobType()),
    }
    found = outputs_of(task({"a": INTEGER}, types), t.integers(a=7))
    assert found.keys() == types.keys()
    kinds = {k: v.scalar.primitive.WhichOneof("value") for k, v in found.items()}
    assert kinds["i"] == "integer"
    assert kinds["f"] == "float_value"
    assert kinds["b"] == "boolean"
    assert (kinds["t"], kinds["d"]) == ("datetime", "duration")
    assert found["i"].scalar.primitive.integer == 0
    assert found["e"].scalar.primitive.string_value == "x"
    assert found["g"].scalar.WhichOneof("value") == "generic"
    assert found["l"].WhichOneof("value") == "collection"
    assert found["m"].WhichOneof("value") == "map"
    assert found["o"].scalar.WhichOneof("value") == "none_type"


def test_a_missing_input_becomes_zero() -> None:
    """An optional input that wasn't given leaves the zero."""
    found = outputs_of(task({"a": INTEGER}, {"b": INTEGER}), b"")
    assert found["b"].scalar.primitive.integer == 0


def test_no_outputs_are_an_empty_map() -> None:
    """A task without outputs gives none."""
    assert echo(task({"a": INTEGER}, {}), t.integers(a=1)) == b""
