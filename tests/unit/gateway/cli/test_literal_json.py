"""Literals as plain values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
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
    from flyteidl.core import literals_pb2

    literal = literals_pb2.Literal()
    literal.scalar.binary.value = msgpack.packb(1)
    literal.scalar.binary.tag = "other"
    assert to_json(literal) == "<1 bytes>"
