"""Protobuf messages made of noise: any fields, any values, from a seed."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field

TEXTS = (
    "", "a", "flytesnacks", "development", "noise", "v1", "../x", "\0", "ä☃",
    "A" * 300, "eq(phase,SUCCEEDED)", "1", "-1", "start-node", "end-node", "n0", "o0",
    "s3://b/k", "/tmp/x", "f" * 63, "tok;en", "%00", "\ud7ff", "🦋", "'; --",
)  # fmt: skip
_NUMBERS: dict[int, tuple[Any, ...]] = {
    Field.CPPTYPE_INT32: (0, 1, -1, 5, 2**31 - 1, -(2**31)),
    Field.CPPTYPE_INT64: (0, 1, -1, 5, 2**63 - 1, -(2**63)),
    Field.CPPTYPE_UINT32: (0, 1, 5, 2**32 - 1),
    Field.CPPTYPE_UINT64: (0, 1, 2**64 - 1),
    Field.CPPTYPE_DOUBLE: (0.0, 1.5, float("nan"), float("inf"), -1e300),
    Field.CPPTYPE_FLOAT: (0.0, 1.5, float("nan"), float("-inf")),
    Field.CPPTYPE_BOOL: (True, False),
}
_BYTES = (b"", b"\xff\x00", b"abc" * 20)
_UNKNOWN_ENUM = 999
_TIMES = 2
_OFTEN = 0.7


class Noise:
    """Fills messages, and changes good ones."""

    def __init__(self, seed: int) -> None:
        """Start over: the same seed gives the same noise."""
        self.random = random.Random(seed)

    def filled(self, message: Any, **known: str) -> Any:
        """Fill a fresh message; often with identifiers of these known values."""
        self._fill(
            message, self.random.randint(0, 7), self.random.choice((0, 0.3, 0.6, 1))
        )
        if self.random.random() < _OFTEN:
            self._name(message, known)
        return message

    def changed(self, message: Any) -> Any:
        """Change one field of a copy of a good message, somewhere inside."""
        copy = type(message)()
        copy.CopyFrom(message)
        place: Any = copy
        while True:
            inner = [
                value
                for field, value in place.ListFields()
                if field.message_type and not field.is_repeated
            ]
            inner += [
                item
                for field, value in place.ListFields()
                if field.message_type and field.is_repeated and not _is_map(field)
                for item in value
            ]
            if not inner or self.random.random() < 1 - _OFTEN:
                break
            place = self.random.choice(inner)
        if place.DESCRIPTOR.fields:
            field = self.random.choice(place.DESCRIPTOR.fields)
            if self.random.random() < 0.5:
                place.ClearField(field.name)
            self._set(place, field, 3, 0.5)
        return copy

    def _fill(self, message: Any, depth: int, share: float) -> None:
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < share:
                self._set(message, field, depth, share)

    def _set(self, message: Any, field: Any, depth: int, share: float) -> None:
        if field.is_repeated:
            self._repeat(message, field, depth, share)
        elif not field.message_type:
            setattr(message, field.name, self._scalar(field))
        elif depth:
            getattr(message, field.name).SetInParent()
            self._fill(getattr(message, field.name), depth - 1, share)

    def _repeat(self, message: Any, field: Any, depth: int, share: float) -> None:
        found = getattr(message, field.name)
        for _ in range(self.random.randint(0, _TIMES)):
            if _is_map(field):
                key, value = field.message_type.fields
                if not value.message_type:
                    found[self._scalar(key)] = self._scalar(value)
                elif depth:
                    self._fill(found[self._scalar(key)], depth - 1, share)
            elif not field.message_type:
                found.append(self._scalar(field))
            elif depth:
                self._fill(found.add(), depth - 1, share)

    def _scalar(self, field: Any) -> Any:
        if field.cpp_type == Field.CPPTYPE_ENUM:
            known = [value.number for value in field.enum_type.values]
            return self.random.choice([*known, _UNKNOWN_ENUM])
        if field.type == Field.TYPE_BYTES:
            return self.random.choice(_BYTES)
        return self.random.choice(_NUMBERS.get(field.cpp_type, TEXTS))

    def _name(self, message: Any, known: dict[str, str]) -> None:
        for field, value in message.ListFields():
            if field.name in known and field.cpp_type == Field.CPPTYPE_STRING:
                if not field.is_repeated:
                    setattr(message, field.name, known[field.name])
            elif field.message_type and not field.is_repeated:
                self._name(value, known)


def _is_map(field: Any) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)
