"""Bindings: a node's inputs from constants and upstream outputs."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2, types_pb2

from domain.literals.bindings import resolve, source_node_ids
from domain.literals.literal_types import none_literal
from schemas.values import Failure
from tests.support.literals import (
    listed,
    literals,
    mapped,
    number,
    packed,
    primitive,
    text,
)

Data = literals_pb2.BindingData


def _promise(node_id: str, var: str, *path: str | int) -> Any:
    attributes = [
        types_pb2.PromiseAttribute(int_value=step)
        if isinstance(step, int)
        else types_pb2.PromiseAttribute(string_value=step)
        for step in path
    ]
    reference = types_pb2.OutputReference(
        node_id=node_id, var=var, attr_path=attributes
    )
    return Data(promise=reference)


def _resolved(data: Any, **sources: Any) -> Any:
    found = resolve([literals_pb2.Binding(var="x", binding=data)], sources)
    return found if isinstance(found, Failure) else found.literals["x"]


def _constant(literal: Any) -> Any:
    return Data(scalar=literal.scalar)


def test_a_constant_is_its_own_value() -> None:
    """A constant needs no other node's outputs."""
    data = _constant(number(5))
    assert _resolved(data) == number(5)
    assert source_node_ids([literals_pb2.Binding(var="x", binding=data)]) == frozenset()


def test_a_promise_is_the_upstreams_output() -> None:
    """A promise takes one output of one node."""
    assert _resolved(_promise("n0", "o0"), n0=literals(o0=number(3))) == number(3)


def test_a_promise_without_a_node_is_the_workflows_input() -> None:
    """Flytekit names no node where it means the workflow's inputs."""
    sources = {"start-node": literals(a=text("hi"))}
    assert _resolved(_promise("", "a"), **sources) == text("hi")


def test_lists_and_maps_are_made_of_their_parts() -> None:
    """Constants and promises mix in lists and maps, which may be nested."""
    parts = literals_pb2.BindingDataCollection(
        bindings=[_constant(number(1)), _promise("n0", "o0")]
    )
    inner = Data(collection=parts)
    outer = Data(map=literals_pb2.BindingDataMap(bindings={"k": inner}))
    found = _resolved(outer, n0=literals(o0=number(2)))
    assert found == mapped(k=listed(number(1), number(2)))
    assert source_node_ids([literals_pb2.Binding(var="x", binding=outer)]) == {"n0"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("k", 1), number(8)),
        (("k", -1), number(8)),
        (("k",), listed(number(7), number(8))),
    ],
)
def test_a_path_leads_into_maps_and_lists(path: Any, expected: Any) -> None:
    """Keys and indexes, also negative ones, select a part."""
    source = literals(o0=mapped(k=listed(number(7), number(8))))
    assert _resolved(_promise("n0", "o0", *path), n0=source) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a",), number(1)),
        (("b", 0), text("x")),
        (("b",), listed(packed("x"), packed("y"))),
        (("c",), packed({"d": True})),
        (("c", "d"), primitive(boolean=True)),
        (("e",), primitive(float_value=0.5)),
    ],
)
def test_a_path_leads_into_a_dataclass(path: Any, expected: Any) -> None:
    """Attributes of a dataclass are read from its msgpack bytes."""
    value = {"a": 1, "b": ["x", "y"], "c": {"d": True}, "e": 0.5}
    source = literals(o0=packed(value))
    assert _resolved(_promise("n0", "o0", *path), n0=source) == expected


def test_an_item_without_a_value_is_none() -> None:
    """A list may hold an item that is bound to nothing."""
    found = _resolved(
        Data(collection=literals_pb2.BindingDataCollection(bindings=[{}]))
    )
    assert found == listed(none_literal())


def test_a_path_leads_into_a_struct() -> None:
    """Older flytekit sends dataclasses as protobuf structs."""
    literal = literals_pb2.Literal()
    literal.scalar.generic.update({"a": {"b": ["z"]}})
    found = _resolved(_promise("n0", "o0", "a", "b", 0), n0=literals(o0=literal))
    assert found == text("z")


def test_a_path_leads_through_a_union() -> None:
    """An Optional's value is walked into as if it weren't wrapped."""
    literal = literals_pb2.Literal()
    literal.scalar.union.value.CopyFrom(packed({"a": 4}))
    found = _resolved(_promise("n0", "o0", "a"), n0=literals(o0=literal))
    assert found == number(4)


def test_an_index_may_stand_before_the_name() -> None:
    """`[1].o0` is the second item of the output o0."""
    source = literals(o0=listed(number(1), number(2)))
    assert _resolved(_promise("n0", "[1].o0"), n0=source) == number(2)


@pytest.mark.parametrize(
    ("data", "source", "because"),
    [
        (_promise("n0", "nope"), literals(), "node 'n0' has no output 'nope'"),
        (_promise("n9", "o0"), literals(), "node 'n9' has no output 'o0'"),
        (_promise("n0", "[x].o0"), literals(o0=listed()), "'x' is no index"),
        (_promise("n0", "o0", 2), literals(o0=listed(number(1))), "list of 1"),
        (_promise("n0", "o0", "k"), literals(o0=mapped()), "'k' is not in the map"),
        (_promise("n0", "o0", "k"), literals(o0=number(1)), "can't be taken"),
        (_promise("n0", "o0", "k"), literals(o0=packed({})), "'k' is not there"),
        (_promise("n0", "o0", 0), literals(o0=packed("abc")), "of a text"),
        (_promise("n0", "o0", "k"), literals(o0=packed({}, "zip")), "tag 'zip'"),
    ],
)
def test_what_is_not_there_fails_by_a_clear_word(
    data: Any, source: Any, because: str
) -> None:
    """A path that can't be followed is a system failure that says where it ends."""
    failure = _resolved(data, n0=source)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.kind) == ("BindingResolutionFailure", "SYSTEM")
    assert failure.message.startswith("Expected to resolve input 'x', but ")
    assert because in failure.message


def test_damaged_bytes_of_a_dataclass_fail_by_a_clear_word() -> None:
    """Invalid msgpack bytes are a failure of the node, not of the engine."""
    literal = packed({})
    literal.scalar.binary.value = b"\xc1"
    failure = _resolved(_promise("n0", "o0", "a"), n0=literals(o0=literal))
    assert isinstance(failure, Failure)
    assert "can't be read" in failure.message


def test_a_number_above_64_bits_stays_packed() -> None:
    """A number too large for a literal stays packed."""
    source = literals(o0=packed({"a": 2**64 - 1}))
    assert _resolved(_promise("n0", "o0", "a"), n0=source) == packed(2**64 - 1)
