"""Literals as plain values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
from flyteidl.core import literals_pb2
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine

from gateway.cli.commands.executions.literal_json import to_json


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, int, 3),
        (1.5, float, 1.5),
        ("x", str, "x"),
        (True, bool, True),
        (None, type(None), None),
        ([1, 2], list[int], [1, 2]),
        ({"a": [1]}, dict[str, list[int]], {"a": [1]}),
        (datetime(2026, 1, 5, tzinfo=UTC), datetime, "2026-01-05T00:00:00Z"),
        (timedelta(seconds=3), timedelta, "3s"),
        ({"a": 1}, dict, {"a": 1}),
        (5, int | None, 5),
    ],
)
def test_reads_what_flytekit_writes(value: Any, kind: type, expected: Any) -> None:
    """Values that the real flytekit packs come out as people wrote them."""
    context = FlyteContextManager.current_context()
    asked = TypeEngine.to_literal_type(kind)
    literal = TypeEngine.to_literal(context, value, kind, asked).to_flyte_idl()
    assert to_json(literal) == expected


def test_tells_the_size_of_unknown_bytes() -> None:
    """Bytes of another packing are told by their size."""
    literal = literals_pb2.Literal()
    literal.scalar.binary.value = msgpack.packb(1)
    literal.scalar.binary.tag = "other"
    assert to_json(literal) == "<1 bytes>"


def test_files_and_tables_are_shown_by_their_address() -> None:
    """What is in them isn't read."""
    scalars = [literals_pb2.Scalar() for _ in range(3)]
    scalars[0].blob.uri = "s3://b/file"
    scalars[1].schema.uri = "s3://b/table"
    scalars[2].structured_dataset.uri = "s3://b/data"

    shown = [to_json(literals_pb2.Literal(scalar=scalar)) for scalar in scalars]
    assert shown == ["s3://b/file", "s3://b/table", "s3://b/data"]


def test_what_a_failure_node_is_given_is_shown_by_its_message() -> None:
    """The rest of an error is on the node that failed."""
    literal = literals_pb2.Literal()
    literal.scalar.error.message = "it broke"
    assert to_json(literal) == "it broke"


def test_dataclasses_of_older_clients_are_objects() -> None:
    """They are sent as a Struct, whose numbers are floats."""
    literal = literals_pb2.Literal()
    literal.scalar.generic.update({"a": [1, None]})
    assert to_json(literal) == {"a": [1.0, None]}


def test_damaged_bytes_and_missing_values_are_shown_as_such() -> None:
    """The command prints the other outputs all the same."""
    damaged, offloaded = literals_pb2.Literal(), literals_pb2.Literal()
    damaged.scalar.binary.value, damaged.scalar.binary.tag = b"\xc1", "msgpack"
    offloaded.offloaded_metadata.uri = "s3://b/1"
    assert to_json(damaged) == "<1 bytes that aren't msgpack>"
    assert to_json(offloaded) is None
    assert to_json(literals_pb2.Literal(scalar=literals_pb2.Scalar())) is None
