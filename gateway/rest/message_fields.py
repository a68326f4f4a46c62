"""Set a protobuf message's fields from text: path parts and query parameters; pure."""

from __future__ import annotations

import json
import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor

_MAP_KEY = re.compile(r"^(?P<field>[^\[\]]+)\[(?P<key>[^\[\]]*)\]$")
_TRUE = frozenset({"true", "1", "t"})
_FALSE = frozenset({"false", "0", "f"})


class InvalidFieldError(ValueError):
    """A field's text isn't what the field holds."""


def set_field(message: Any, path: str, text: str) -> bool:
    """Set the field at a dotted path; False if there is none.

    Repeated fields get one more item. Raises BadField for a value that doesn't fit.
    """
    mapped = _MAP_KEY.match(path)
    key = mapped["key"] if mapped else None
    *parents, last = (mapped["field"] if mapped else path).split(".")
    for name in parents:
        field = _field(message, name)
        if field is None or field.message_type is None or field.is_repeated:
            return False
        message = getattr(message, field.name)
        message.SetInParent()
    field = _field(message, last)
    if field is None:
        return False
    _assign(message, field, key, path=path, text=text)
    return True


def _field(message: Any, name: str) -> Any:
    descriptor = message.DESCRIPTOR
    return descriptor.fields_by_name.get(
        name
    ) or descriptor.fields_by_camelcase_name.get(name)


def _assign(message: Any, field: Any, key: str | None, *, path: str, text: str) -> None:
    """Go by protobuf's JSON rules, so that text means here what it means in a body."""
    target = field
    if key is not None:
        if field.message_type is None or not field.message_type.GetOptions().map_entry:
            raise InvalidFieldError(f"Expected '{path}' to name a map, but it is none")
        target = field.message_type.fields_by_name["value"]
    value = _value(target, path=path, text=text)
    if key is not None:
        value = {key: value}
    elif field.is_repeated:
        value = [value]
    patch = type(message)()
    try:
        json_format.ParseDict({field.name: value}, patch)
    except json_format.ParseError as error:
        raise InvalidFieldError(_expected(target, path=path, text=text)) from error
    if not field.is_repeated:
        message.ClearField(field.name)
    message.MergeFrom(patch)


def _value(field: Any, *, path: str, text: str) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise InvalidFieldError(_expected(field, path=path, text=text))
    if field.type == FieldDescriptor.TYPE_ENUM:
        return int(text) if text.lstrip("-").isdigit() else text
    if field.message_type is not None and text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except ValueError as error:
            raise InvalidFieldError(_expected(field, path=path, text=text)) from error
    return text


def _expected(field: Any, *, path: str, text: str) -> str:
    if field.type == FieldDescriptor.TYPE_ENUM:
        names = ", ".join(value.name for value in field.enum_type.values)
        return f"Expected '{path}' to be one of {names}, but got {text!r}"
    kind = (
        field.message_type.name
        if field.message_type is not None
        else _KINDS.get(field.cpp_type, "text")
    )
    return f"Expected '{path}' to be {kind}, but got {text!r}"


_KINDS = {
    FieldDescriptor.CPPTYPE_INT32: "a 32-bit integer",
    FieldDescriptor.CPPTYPE_INT64: "a 64-bit integer",
    FieldDescriptor.CPPTYPE_UINT32: "an unsigned 32-bit integer",
    FieldDescriptor.CPPTYPE_UINT64: "an unsigned 64-bit integer",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
}
