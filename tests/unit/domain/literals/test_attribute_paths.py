"""Attribute paths: values of each kind at their end, and steps that lead nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2, types_pb2

from domain.literals.attribute_paths import AttributePathError, value_at
from domain.literals.literal_types import none_literal
from tests.support.literals import listed, number, packed, primitive, text


def _path(*steps: str | int) -> list[Any]:
    return [
        types_pb2.PromiseAttribute(int_value=step)
        if isinstance(step, int)
        else types_pb2.PromiseAttribute(string_value=step)
        for step in steps
    ]


def _struct(**fields: Any) -> Any:
    """Return a dataclass as older clients send it."""
    literal = literals_pb2.Literal()
    literal.scalar.generic.update(fields)
    return literal


def _variant(value: Any) -> Any:
    union = literals_pb2.Union(value=value)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(union=union))


FIELDS: list[tuple[Any, Any]] = [
    (True, primitive(boolean=True)),
    (1.5, primitive(float_value=1.5)),
    ("a", text("a")),
    (None, none_literal()),
]


@pytest.mark.parametrize(("value", "expected"), [*FIELDS, (7, number(7))])
def test_a_field_of_a_dataclass_is_a_primitive(value: Any, expected: Any) -> None:
    """Its type is that of the msgpack value; null is the literal without a value."""
    assert value_at(packed({"a": value}), _path("a")) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *FIELDS,
        (7, primitive(float_value=7.0)),
        ({"b": "c"}, _struct(b="c")),
        (["x", 1], listed(text("x"), primitive(float_value=1.0))),
    ],
)
def test_a_field_of_a_struct_is_a_primitive_too(value: Any, expected: Any) -> None:
    """Numbers are floats there; objects stay structs, lists become collections."""
    assert value_at(_struct(a=value), _path("a")) == expected


@pytest.mark.parametrize(
    ("literal", "steps", "why"),
    [
        (_struct(a="text"), ("a", "b"), "'b' can't be taken of a text"),
        (_struct(a=["x"]), ("a", 1), "1 is not there"),
        (_struct(a=["x"]), ("a", "b"), "'b' is not there"),
        (packed({"a": {}}), ("a", "b"), "'b' is not there"),
        (packed(1, tag="pickle"), ("a",), "binary tag 'pickle'"),
        (_variant(number(1)), ("a",), "'a' can't be taken of a primitive"),
    ],
)
def test_a_step_that_leads_nowhere_is_named(
    literal: Any, steps: tuple[str | int, ...], why: str
) -> None:
    """The text says which step fails, and of what kind the value there is."""
    with pytest.raises(AttributePathError, match=why):
        value_at(literal, _path(*steps))
