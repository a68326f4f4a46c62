"""Checks of messages: values that protobuf sends, but that no other client reads."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import execution_pb2, launch_plan_pb2
from flyteidl.core import literals_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from domain.literals.protobuf_checks import violation

LAST_S = 253_402_300_799


@pytest.mark.parametrize(
    ("time", "fits"),
    [
        (Timestamp(seconds=LAST_S, nanos=999_999_999), True),
        (Timestamp(seconds=LAST_S + 1), False),
        (Timestamp(nanos=-1), False),
        (Timestamp(nanos=10**9), False),
        (Duration(seconds=-3, nanos=-5), True),
        (Duration(seconds=-3, nanos=5), False),
        (Duration(seconds=10**12), False),
    ],
)
def test_times_are_within_their_range(time: Message, *, fits: bool) -> None:
    """Years 1 to 9999, ten thousand years; seconds and nanoseconds of one sign."""
    assert (violation(time, "at") is None) is fits


def _generic(number: float) -> Any:
    literal = literals_pb2.Literal()
    literal.scalar.generic.update({"a": [{"b": number}]})
    return literal


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_of_a_struct_are_finite(number: float) -> None:
    """JSON has neither NaN nor infinity; the text names the field at any depth."""
    found = violation(_generic(number), "input")

    assert violation(_generic(1.5), "input") is None
    assert found is not None
    assert found.startswith("Expected input.scalar.generic.fields.")
    assert f"to be finite, but it is {number}" in found


def test_enums_have_known_values() -> None:
    """A number of a newer client is refused, not read as another value."""
    spec = execution_pb2.ExecutionSpec()
    spec.metadata.mode = 99  # type: ignore[assignment]  # what a newer client sends

    wrong = "Expected spec.metadata.mode to be a known value, but it is 99"
    assert violation(spec, "spec") == wrong


def test_values_of_maps_and_lists_are_checked() -> None:
    """Each entry of a repeated field is visited."""
    spec = launch_plan_pb2.LaunchPlanSpec()
    primitive = spec.fixed_inputs.literals["good"].scalar.primitive
    primitive.duration.seconds = 1
    assert violation(spec, "spec") is None

    primitive = spec.fixed_inputs.literals["late"].scalar.primitive
    primitive.datetime.seconds = LAST_S + 1
    assert "to be a timestamp within its range" in (violation(spec, "spec") or "")
