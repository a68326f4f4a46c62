"""Fields of protobuf messages, set from text: path parts and parameters; pure."""

from __future__ import annotations

import json
import re

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from schemas.json_types import JsonValue

_MAP_KEY = re.compile(r"^(?P<field>[^\[\]]+)\[(?P<key>[^\[\]]*)\]$")
_TRUE = frozenset({"true", "1", "t"})
_FALSE = frozenset({"false", "0", "f"})


class InvalidFieldError(ValueError):
    """A field can't have the value that a text names."""


def set_field(message: Message, path: str, text: str) -> bool:
    """Set the field at a dotted path; return whether there is one.

    Repeated fields get one more item. Raises InvalidFieldError for a wrong value.
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


def _field(message: Message, name: str) -> FieldDescriptor | None:
    descriptor = message.DESCRIPTOR
    field = descriptor.fields_by_name.get(name)
    field = field or descriptor.fields_by_camelcase_name.get(name)
    # The check holds for descriptors of protobuf's C implementation too.
    return field if isinstance(field, FieldDescriptor) else None


def _assign(
    message: Message, field: FieldDescriptor, key: str | None, *, path: str, text: str
) -> None:
    """Set a field by protobuf's JSON rules, so that texts mean the same in a body."""
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


def _value(field: FieldDescriptor, *, path: str, text: str) -> JsonValue:
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise InvalidFieldError(_expected(field, path=path, text=text))
    if field.type == FieldDescriptor.TYPE_ENUM:
        return int(text) if text.lstrip("-").isdigit() else text
    if field.message_type is not None and text.startswith(("{", "[")):
        try:
            value: JsonValue = json.loads(text)
        except ValueError as error:
            raise InvalidFieldError(_expected(field, path=path, text=text)) from error
        return value
    return text


def _expected(field: FieldDescriptor, *, path: str, text: str) -> str:
    if field.enum_type is not None:
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
