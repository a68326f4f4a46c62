"""Times from dataclasses: texts and numbers become datetimes and durations."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import interface_pb2, types_pb2

from domain.literals.dataclass_times import restore
from tests.support.literals import MOMENT, TEXT, literals, packed, primitive, text

SPAN = types_pb2.LiteralType(simple=types_pb2.DURATION)
NOTHING = types_pb2.LiteralType(simple=types_pb2.NONE)


def maybe(kind: Any) -> Any:
    """Return the type of an optional."""
    variants = types_pb2.UnionType(variants=[kind, NOTHING])
    return types_pb2.LiteralType(union_type=variants)


def given(kind: Any, literal: Any) -> Any:
    """Return the input of a node that declares a type."""
    inputs = literals(a=literal)
    variable = interface_pb2.Variable(type=kind)
    restore(inputs, {"a": variable, "b": variable})
    assert set(inputs.literals) == {"a"}
    return inputs.literals["a"]


@pytest.mark.parametrize("of", [lambda kind: kind, maybe])
def test_what_is_asked_for_is_given(of: Any) -> None:
    """A text becomes a datetime, in UTC if it has no zone; seconds a duration."""
    at = primitive(datetime={"seconds": 1_577_836_800, "nanos": 5000})
    long = primitive(duration={"seconds": 90, "nanos": 500_000_000})

    assert given(of(MOMENT), text("2020-01-01T00:00:00.000005")) == at
    assert given(of(MOMENT), text("2020-01-01T02:00:00.000005+02:00")) == at
    assert given(of(SPAN), primitive(float_value=90.5)) == long
    assert given(of(SPAN), primitive(integer=2)) == primitive(duration={"seconds": 2})


@pytest.mark.parametrize(
    ("kind", "literal"),
    [
        (MOMENT, text("noon")),
        (SPAN, primitive(float_value=float("inf"))),
        (SPAN, text("3s")),
        (TEXT, text("2020-01-01")),
        (MOMENT, packed({"a": 1})),
        (MOMENT, primitive(datetime={"seconds": 3})),
        (NOTHING, text("2020-01-01")),
    ],
)
def test_all_else_stays(kind: Any, literal: Any) -> None:
    """What isn't declared as a time, or can't be parsed, stays as it is."""
    assert given(kind, literal) == literal
