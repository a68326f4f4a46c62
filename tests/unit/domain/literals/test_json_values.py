"""JSON values become literals of the expected types."""

from __future__ import annotations

import math
from typing import Any

import pytest
from flyteidl.core import types_pb2
from hypothesis import given
from hypothesis import strategies as st

from domain.literals.casting import literal_matches
from domain.literals.json_values import TypeMismatchError, to_literal
from tests.support.literals import (
    INT,
    MOMENT,
    TEXT,
    listed,
    mapped,
    number,
    primitive,
    text,
)

Type = types_pb2.LiteralType
FLOAT, BOOLEAN, STRUCT, DURATION, NONE = (
    Type(simple=kind)
    for kind in (
        types_pb2.FLOAT,
        types_pb2.BOOLEAN,
        types_pb2.STRUCT,
        types_pb2.DURATION,
        types_pb2.NONE,
    )
)
ENUM = Type(enum_type=types_pb2.EnumType(values=["red", "blue"]))
BLOB = Type(blob=types_pb2.BlobType(format="csv"))
OPTIONAL = Type(union_type=types_pb2.UnionType(variants=[INT, NONE]))
LIST, MAP = Type(collection_type=INT), Type(map_value_type=INT)
TYPES = [INT, TEXT, MOMENT, FLOAT, BOOLEAN, STRUCT, DURATION, NONE]
TYPES += [ENUM, BLOB, OPTIONAL, LIST, MAP]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("value", "asked", "expected"),
    [
        (3, INT, number(3)),
        ("a", TEXT, text("a")),
        (True, BOOLEAN, primitive(boolean=True)),
        ([1, 2], LIST, listed(number(1), number(2))),
        ({"k": 1}, MAP, mapped(k=number(1))),
        ("red", ENUM, text("red")),
    ],
)
def test_a_value_becomes_its_literal(value: Any, asked: Any, expected: Any) -> None:
    """JSON has a literal for most types."""
    assert to_literal(value, asked) == expected


def test_an_integer_is_a_float_too() -> None:
    """JSON doesn't tell 1 from 1.0."""
    assert to_literal(1, FLOAT).scalar.primitive.float_value == 1.0


@pytest.mark.parametrize(
    "text", ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00", "2024-05-01T12:00"]
)
def test_a_datetime_is_read_with_its_zone(text: str) -> None:
    """A time without a zone is UTC, others are turned to it."""
    found = to_literal(text, MOMENT).scalar.primitive.datetime
    assert found.ToJsonString() == "2024-05-01T12:00:00Z"


def test_a_duration_is_a_number_of_seconds() -> None:
    """Half a second is 0.5."""
    found = to_literal(0.5, DURATION).scalar.primitive.duration
    assert found.ToMilliseconds() == 500


def test_a_union_takes_the_first_variant_that_fits() -> None:
    """The union has the chosen variant's type."""
    union = to_literal(None, OPTIONAL).scalar.union
    assert union.type == NONE
    assert union.value.scalar.HasField("none_type")


def test_a_text_may_be_a_files_address() -> None:
    """A blob is written as its URI."""
    blob = to_literal("s3://b/k", BLOB).scalar.blob
    assert (blob.uri, blob.metadata.type.format) == ("s3://b/k", "csv")


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        ("3", INT),
        (True, INT),
        (1, BOOLEAN),
        (2**63, INT),
        (1.5, INT),
        (None, TEXT),
        ("green", ENUM),
        ([], ENUM),
        ("noon", MOMENT),
        (math.nan, DURATION),
        (math.inf, DURATION),
        (True, DURATION),
        (["a"], LIST),
        ({}, LIST),
        ("x", OPTIONAL),
    ],
)
def test_what_does_not_fit_is_refused_with_a_clear_message(
    value: Any, asked: Any
) -> None:
    """A value of another type isn't converted."""
    with pytest.raises(TypeMismatchError, match=r"^Expected .*, but got "):
        to_literal(value, asked)


@given(value=JSON, asked=st.sampled_from(TYPES))
def test_any_value_fits_or_is_refused(value: Any, asked: Any) -> None:
    """Whatever fits is accepted as that type; whatever doesn't is refused."""
    try:
        literal = to_literal(value, asked)
    except TypeMismatchError:
        return
    assert literal_matches(literal, asked)
