"""Checks of messages for values out of range, which protobuf itself accepts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

_DURATION_S_MAX = 315_576_000_000
_TIMESTAMP_S_MIN, _TIMESTAMP_S_MAX = -62_135_596_800, 253_402_300_799
_NANOS_MAX = 999_999_999


def violation(message: Message, path: str) -> str | None:
    """Return what is wrong with a message's times, enums and numbers, if anything.

    Every field is visited: use it for small messages, not for workflows.
    """
    if isinstance(message, Duration | Timestamp):
        return _time_violation(message, path)
    if isinstance(message, Value) and not math.isfinite(message.number_value):
        return f"Expected {path} to be finite, but it is {message.number_value}"
    for field, value in message.ListFields():
        name = f"{path}.{field.name}"
        for item in _items(field, value):
            wrong = _item_violation(field, item, name)
            if wrong is not None:
                return wrong
    return None


def _time_violation(time: Duration | Timestamp, path: str) -> str | None:
    """Return how a time is outside its range, None if it isn't."""
    seconds, nanos = time.seconds, time.nanos
    if isinstance(time, Timestamp):
        fits = _TIMESTAMP_S_MIN <= seconds <= _TIMESTAMP_S_MAX and nanos >= 0
    else:
        fits = abs(seconds) <= _DURATION_S_MAX and seconds * nanos >= 0
    if fits and abs(nanos) <= _NANOS_MAX:
        return None
    return (
        f"Expected {path} to be a {time.DESCRIPTOR.name.lower()} within its range, "
        f"but it is {seconds} s and {nanos} ns"
    )


def _items(field: FieldDescriptor, value: Any) -> Iterable[Any]:
    """Return the values of a field, of whichever type it is."""
    if not field.is_repeated:
        return (value,)
    return value.values() if isinstance(value, Mapping) else value


def _item_violation(field: FieldDescriptor, item: Any, path: str) -> str | None:
    if isinstance(item, Message):
        return violation(item, path)
    enum = field.enum_type
    if enum is not None and item not in enum.values_by_number:
        return f"Expected {path} to be a known value, but it is {item}"
    return None
