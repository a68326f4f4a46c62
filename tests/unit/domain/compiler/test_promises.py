"""Promises: the type of the value at the end of an attribute path (ref §3.2)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import types_pb2

from domain.compiler.errors import Code, Violation
from domain.compiler.promises import promised_type
from tests.support.literals import INT, TEXT

Type = types_pb2.LiteralType
NONE = Type(simple=types_pb2.NONE)
LIST = Type(collection_type=INT)
MAP = Type(map_value_type=LIST)


def _union(*variants: Any) -> Any:
    return Type(union_type=types_pb2.UnionType(variants=variants))


def _dataclass(**fields: Any) -> Any:
    kind = Type(simple=types_pb2.STRUCT)
    for name, field in fields.items():
        kind.structure.dataclass_type[name].CopyFrom(field)
    return kind


def _described(**properties: Any) -> Any:
    """Return a dataclass of which older clients send a JSON schema only."""
    kind = Type(simple=types_pb2.STRUCT)
    kind.metadata.update({"type": "object", "properties": properties})
    return kind


def _promised(given: Any, *path: str | int, var: str = "o0") -> Any:
    """Return the type of a promise of the output o0 of node n, whose type is given."""
    attributes = [
        types_pb2.PromiseAttribute(int_value=step)
        if isinstance(step, int)
        else types_pb2.PromiseAttribute(string_value=step)
        for step in path
    ]
    promise = types_pb2.OutputReference(node_id="n", var=var, attr_path=attributes)
    return promised_type(promise, {"n": {"o0": given}})


@pytest.mark.parametrize(
    ("given", "path", "expected"),
    [
        (INT, (), INT),
        (LIST, (3,), INT),
        (MAP, ("k",), LIST),
        (MAP, ("k", 0), INT),
        (_dataclass(a=LIST), ("a", 0), INT),
        (_union(_dataclass(a=INT), NONE), ("a",), INT),
        (_union(_dataclass(a=INT), _dataclass(a=TEXT)), ("a",), _union(INT, TEXT)),
        (_union(_dataclass(a=INT), _dataclass(b=TEXT)), ("a",), INT),
    ],
)
def test_a_path_leads_to_the_type_inside(
    given: Any, path: tuple[str | int, ...], expected: Any
) -> None:
    """A path goes through lists, maps, dataclasses and the variants that have it."""
    assert _promised(given, *path) == expected


def test_an_index_before_the_name_takes_an_item_of_the_list() -> None:
    """Flytekit writes the first index of a path as `[0].o0`."""
    assert _promised(LIST, var="[0].o0") == INT


@pytest.mark.parametrize(
    ("given", "path", "code"),
    [
        (INT, ("a",), Code.FIELD_NOT_FOUND),
        (_dataclass(a=INT), ("b",), Code.FIELD_NOT_FOUND),
        (_union(_dataclass(a=INT), NONE), ("b",), Code.FIELD_NOT_FOUND),
        (_described(a={"type": "integer"}), ("b",), Code.FIELD_NOT_FOUND),
        (
            _described(a={"type": "object", "properties": {"b": {}}}),
            ("a", "c"),
            Code.FIELD_NOT_FOUND,
        ),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(
    given: Any, path: tuple[str | int, ...], code: Code
) -> None:
    """The error says which step isn't there."""
    found = _promised(given, *path)

    assert isinstance(found, Violation)
    assert found.code is code
    assert f"Expected a field '{path[-1]}'" in found.text


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (Type(simple=types_pb2.STRUCT), ("a",)),
        (_described(a={"type": "integer"}), ("a",)),
        (_described(a={"type": "array"}), ("a", 0)),
        (_described(a={"type": "array"}), ("a", "b")),
        (_described(a={"type": "object", "properties": {"b": {}}}), ("a", "b")),
        (_union(Type(simple=types_pb2.STRUCT), _dataclass(a=INT)), ("a",)),
    ],
)
def test_a_part_whose_type_is_not_declared_has_none(
    given: Any, path: tuple[str | int, ...]
) -> None:
    """A dict, or a dataclass that only has a JSON schema, may hold any type there."""
    assert _promised(given, *path) is None


def test_what_is_not_known_has_no_type() -> None:
    """A node with an error of its own, or an output without a type, isn't blamed."""
    promise = types_pb2.OutputReference(node_id="n", var="o0")

    assert promised_type(promise, {"n": None}) is None
    assert promised_type(promise, {"n": {"o0": None}}) is None
