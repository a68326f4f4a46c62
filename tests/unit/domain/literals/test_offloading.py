"""Offloaded literals: loaded where a binding must read them."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import literals_pb2, types_pb2

from domain.literals.bindings import START
from domain.literals.offloading import (
    is_offloaded,
    offloaded_in_promises,
    offloaded_inputs,
)
from tests.support.graphs import integer


def _offloaded(uri: str = "/b/x") -> Any:
    metadata = literals_pb2.LiteralOffloadedMetadata(uri=uri)
    return literals_pb2.Literal(offloaded_metadata=metadata)


def _binding(var: str, *path: str | int) -> Any:
    promise = types_pb2.OutputReference(node_id=START, var=var)
    for step in path:
        if isinstance(step, int):
            promise.attr_path.add(int_value=step)
        else:
            promise.attr_path.add(string_value=step)
    data = literals_pb2.BindingData(promise=promise)
    return literals_pb2.Binding(var="x", binding=data)


def _sources(**literals: Any) -> dict[str, Any]:
    return {START: literals_pb2.LiteralMap(literals=literals)}


def test_what_is_passed_on_stays_offloaded() -> None:
    """A value without attribute path needn't be read."""
    sources = _sources(a=_offloaded(), b=integer(1))

    assert not offloaded_in_promises([_binding("a"), _binding("b")], sources)


@pytest.mark.parametrize(
    "binding",
    [
        _binding("a", "field", 0),
        _binding("[2].a"),
        _binding("m", "k", "field"),
        _binding("l", 0, "field"),
        _binding("u", "k", "field"),
    ],
)
def test_a_value_on_a_path_must_be_read(binding: Any) -> None:
    """By a key, an index, and inside a value that isn't offloaded; filled in place."""
    inside = literals_pb2.Literal(
        map=literals_pb2.LiteralMap(literals={"k": _offloaded()})
    )
    items = literals_pb2.LiteralCollection(literals=[_offloaded()])
    union = literals_pb2.Union(value=inside)
    sources = _sources(
        a=_offloaded(),
        m=inside,
        l=literals_pb2.Literal(collection=items),
        u=literals_pb2.Literal(scalar=literals_pb2.Scalar(union=union)),
    )
    found = offloaded_in_promises([binding], sources)

    assert [is_offloaded(literal) for literal in found] == [True]
    found[0].CopyFrom(integer(3))
    assert not offloaded_in_promises([binding], sources)


@pytest.mark.parametrize(
    "binding", [_binding("[x].a"), _binding("z", 1), _binding("c", 7), _binding("b", 1)]
)
def test_what_is_missing_is_reported_by_resolving(binding: Any) -> None:
    """Bad indexes, missing outputs and items, and other values yield nothing."""
    items = literals_pb2.LiteralCollection(literals=[integer(1)])
    listed = literals_pb2.Literal(collection=items)

    assert not offloaded_in_promises([binding], _sources(b=integer(1), c=listed))


def test_a_path_that_ends_before_an_offloaded_value_reads_nothing() -> None:
    """What is at the end of the path is handed on as it is."""
    inside = literals_pb2.LiteralMap(literals={"k": _offloaded()})
    sources = _sources(m=literals_pb2.Literal(map=inside))

    assert not offloaded_in_promises([_binding("m", "k")], sources)


def test_the_engine_reads_what_it_looks_into() -> None:
    """Only inputs of the given names, and only offloaded ones."""
    inputs = literals_pb2.LiteralMap(literals={"a": _offloaded(), "b": integer(1)})

    assert offloaded_inputs(inputs, ("a", "b", "c")) == [_offloaded()]
    assert not offloaded_inputs(inputs, ("b",))
