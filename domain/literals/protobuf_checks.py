"""Values that protobuf carries and nobody can read: times, enums, numbers."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

_DURATION_S_MAX = 315_576_000_000
_TIMESTAMP_S_MIN, _TIMESTAMP_S_MAX = -62_135_596_800, 253_402_300_799
_NANOS_MAX = 999_999_999


def violation(message: Any, path: str) -> str | None:
    """Return the refusal of a value that means nothing; None without one.

    It walks every field: for messages of a few fields, not for whole workflows.
    """
    if message.DESCRIPTOR.full_name in _TIMES:
        return duration_violation(message, path)
    is_value = message.DESCRIPTOR.full_name == "google.protobuf.Value"
    if is_value and not math.isfinite(message.number_value):
        return f"Expected {path} to be finite, but it is {message.number_value}"
    for field, value in message.ListFields():
        name = f"{path}.{field.name}"
        for item in _items(field, value):
            wrong = _item(field, item, name)
            if wrong is not None:
                return wrong
    return None


def duration_violation(time: Any, path: str) -> str | None:
    """Return how a google.protobuf Duration or Timestamp is out of its range."""
    seconds, nanos = time.seconds, time.nanos
    if time.DESCRIPTOR.name == "Timestamp":
        fits = _TIMESTAMP_S_MIN <= seconds <= _TIMESTAMP_S_MAX and 0 <= nanos
    else:
        fits = abs(seconds) <= _DURATION_S_MAX and seconds * nanos >= 0
    if fits and abs(nanos) <= _NANOS_MAX:
        return None
    return (
        f"Expected {path} to be a {time.DESCRIPTOR.name.lower()} within its range, "
        f"but it is {seconds} s and {nanos} ns"
    )


_TIMES = frozenset({"google.protobuf.Duration", "google.protobuf.Timestamp"})


def _items(field: Any, value: Any) -> Any:
    if not field.is_repeated:
        return (value,)
    return value.values() if hasattr(value, "values") else value


def _item(field: Any, item: Any, path: str) -> str | None:
    if hasattr(item, "DESCRIPTOR"):
        return violation(item, path)
    is_enum = field.cpp_type == FieldDescriptor.CPPTYPE_ENUM
    if is_enum and item not in field.enum_type.values_by_number:
        return f"Expected {path} to be a known value, but it is {item}"
    return None
