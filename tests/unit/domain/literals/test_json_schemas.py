"""JSON schemas of dataclasses: upstream must have whatever downstream reads."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2

from domain.literals.json_schemas import field_names, is_compatible

TEXT, NUMBER = {"type": "string"}, {"type": "number"}


def _schema(value: Any) -> struct_pb2.Struct:
    schema = struct_pb2.Struct()
    schema.update(value)
    return schema


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _node(place: str = "$defs") -> dict[str, Any]:
    """Return the schema of a class that contains itself."""
    reference = {"$ref": f"#/{place}/Node"}
    return {**reference, place: {"Node": _object(value=NUMBER, next=reference)}}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _fits(upstream: Any, downstream: Any) -> bool:
    """Return whether a field of one schema can be read as that of the other."""
    holders = (_schema(_object(a=upstream)), _schema(_object(a=downstream)))
    return is_compatible(*holders)


@pytest.mark.parametrize(
    ("upstream", "downstream", "expected"),
    [
        (_list(_object(x=TEXT, y=TEXT)), _list(_object(x=TEXT)), True),
        (_list(TEXT), _list(NUMBER), False),
        (_list(TEXT), {"type": "array"}, True),
        ({"type": "array"}, _list(TEXT), False),
        (_list([TEXT, NUMBER]), _list([TEXT, NUMBER]), True),
        (_list([TEXT, NUMBER]), _list([TEXT, TEXT]), False),
        (_list([TEXT, NUMBER]), _list([TEXT]), False),
        (_list([TEXT]), _list(TEXT), False),
    ],
)
def test_lists_fit_as_their_items_do(
    upstream: Any, downstream: Any, *, expected: bool
) -> None:
    """A list without an item type may be read by none that asks for one."""
    assert _fits(upstream, downstream) is expected


@pytest.mark.parametrize(
    ("upstream", "downstream", "expected"),
    [
        ({"anyOf": [TEXT]}, {"anyOf": [NUMBER, TEXT]}, True),
        ({"anyOf": [TEXT, NUMBER]}, {"anyOf": [TEXT]}, False),
        ({"anyOf": [TEXT, NUMBER]}, {}, False),
        ({}, {"oneOf": [TEXT]}, False),
        ({"anyOf": [_object(x=TEXT, y=TEXT)]}, {"anyOf": [_object(x=TEXT)]}, True),
    ],
)
def test_each_alternative_must_fit_one_of_those_asked_for(
    upstream: Any, downstream: Any, *, expected: bool
) -> None:
    """A value may be of any of its alternatives, so all of them must be readable."""
    assert _fits(upstream, downstream) is expected


@pytest.mark.parametrize(
    ("upstream", "downstream", "expected"),
    [
        ({**TEXT, "format": "date"}, {**TEXT, "format": "date"}, True),
        ({**TEXT, "format": "date"}, {**TEXT, "format": "time"}, False),
        ({**TEXT, "format": "date"}, TEXT, False),
        ({**TEXT, "pattern": "a+"}, TEXT, True),
        (TEXT, {**TEXT, "pattern": "a+"}, False),
        ({**TEXT, "enum": ["a"]}, {**TEXT, "enum": ["b", "a"]}, True),
        ({**TEXT, "enum": ["a", "c"]}, {**TEXT, "enum": ["b", "a"]}, False),
        (TEXT, {**TEXT, "enum": ["a"]}, False),
        ({**TEXT, "const": "a"}, {**TEXT, "const": "a"}, True),
        (TEXT, {**TEXT, "const": "a"}, False),
        ({"type": ["string", "null"]}, {"type": ["null", "string"]}, True),
        ({"type": ["string", "null"]}, TEXT, False),
        ({"properties": {}}, {"type": "object"}, True),
    ],
)
def test_upstream_must_be_as_narrow_as_downstream(
    upstream: Any, downstream: Any, *, expected: bool
) -> None:
    """Formats, patterns, enums and constants restrict which texts may be read."""
    assert _fits(upstream, downstream) is expected


def test_downstream_may_not_require_what_upstream_leaves_out() -> None:
    """A field that upstream may omit can't be read as a required one."""
    optional = _schema(_object(a=TEXT))
    required = _schema({**_object(a=TEXT), "required": ["a"]})

    assert is_compatible(required, optional)
    assert not is_compatible(optional, required)


def test_classes_that_contain_themselves_are_compared_once() -> None:
    """References are followed; a class inside itself is settled by the outer one."""
    assert is_compatible(_schema(_node()), _schema(_node("definitions")))
    assert not is_compatible(_schema(_node()), _schema(_object(next=TEXT)))


def test_alternatives_are_tried_without_what_another_assumed() -> None:
    """A pair that fit within a failed alternative isn't taken for granted after it."""
    same = {"$ref": "#/$defs/Same"}
    upstream = {
        "anyOf": [_object(a=same, b=NUMBER)],
        "$defs": {"Same": _object(x=NUMBER)},
    }
    downstream = {
        "anyOf": [_object(a=same, b=TEXT), _object(a=same, b=NUMBER)],
        "$defs": {"Same": _object(x=TEXT)},
    }

    assert not is_compatible(_schema(upstream), _schema(downstream))


@pytest.mark.parametrize(
    ("schema", "path", "expected"),
    [
        (_object(a=TEXT, b=TEXT), (), {"a", "b"}),
        (_object(a=_object(c=TEXT)), ("a",), {"c"}),
        (_node(), ("next", "next"), {"value", "next"}),
        (_object(a=TEXT), ("a",), None),
        (_object(a=TEXT), ("z",), None),
        (_object(a={"$ref": "#/$defs/Gone"}), ("a",), None),
        (_object(a={"$ref": "elsewhere.json"}), ("a",), None),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, (), None),
    ],
)
def test_fields_are_declared_at_a_path(
    schema: Any, path: tuple[str, ...], expected: set[str] | None
) -> None:
    """None where the schema doesn't say: no object, no field, a lost reference."""
    assert field_names(_schema(schema), path) == expected
