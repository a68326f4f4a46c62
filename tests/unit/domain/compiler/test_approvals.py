"""Approvals: gates that hand their inputs on, with the types of their bindings."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2, types_pb2

from domain.compiler.bindings import bound_types
from domain.compiler.errors import Code, Findings
from tests.support.literals import INT, TEXT

Data = literals_pb2.BindingData
SOURCES = {"n": {"o0": INT, "o1": TEXT, "o2": None}}


def _number() -> Any:
    primitive = literals_pb2.Primitive(integer=1)
    return Data(scalar=literals_pb2.Scalar(primitive=primitive))


def _promise(var: str) -> Any:
    return Data(promise=types_pb2.OutputReference(node_id="n", var=var))


def _items(*items: Any) -> Any:
    return Data(collection=literals_pb2.BindingDataCollection(bindings=items))


def _entries(**entries: Any) -> Any:
    return Data(map=literals_pb2.BindingDataMap(bindings=entries))


def _type_of(data: Any) -> tuple[Any, tuple[Code, ...]]:
    """Return the type of an approval's output, and the errors found."""
    found = Findings()
    bindings = [literals_pb2.Binding(var="a", binding=data)]
    types = bound_types("g", bindings, SOURCES, found)
    errors = found.errors()
    return types["a"], errors.codes if errors else ()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (_number(), INT),
        (_promise("o1"), TEXT),
        (_items(_number(), _promise("o0")), types_pb2.LiteralType(collection_type=INT)),
        (_entries(k=_promise("o1")), types_pb2.LiteralType(map_value_type=TEXT)),
    ],
)
def test_an_output_has_the_type_of_its_binding(data: Any, expected: Any) -> None:
    """The type is that of the constant, of the promise, or of all items."""
    assert _type_of(data) == (expected, ())


@pytest.mark.parametrize(
    "data",
    [
        _promise("o2"),
        _items(),
        _items(_number(), _promise("o1")),
        _items(_number(), _promise("o2")),
        _entries(),
    ],
)
def test_items_without_one_common_type_leave_it_unknown(data: Any) -> None:
    """A mixed or empty list can be bound to whatever is expected downstream."""
    assert _type_of(data) == (None, ())


@pytest.mark.parametrize("data", [_promise("o9"), _items(_number(), _promise("o9"))])
def test_a_promise_that_does_not_exist_is_an_error_of_the_approval(data: Any) -> None:
    """The approval declares no inputs, but what it is bound to must exist."""
    assert _type_of(data) == (None, (Code.VARIABLE_NAME_NOT_FOUND,))
