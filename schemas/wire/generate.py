"""Writes the Avro schema of a new message or version; released ones never change.

Run `python -m schemas.wire.generate` after adding a message, or a version of one.
"""

from __future__ import annotations

import json
import sys
import types
from typing import Union, get_args, get_origin, get_type_hints

import msgspec

from schemas.json_types import JsonObject, JsonValue
from schemas.wire.registry import ENGINE, MessageSet, namespace

_PLAIN = {str: "string", bytes: "bytes", int: "long", bool: "boolean", float: "double"}


def schema_of(cls: type[msgspec.Struct], messages: MessageSet = ENGINE) -> JsonObject:
    """Return the Avro record that a message class describes."""
    return _record(cls, namespace(messages.newest(cls)), set())


def _record(cls: type[msgspec.Struct], space: str, seen: set[str]) -> JsonObject:
    seen.add(cls.__name__)
    hints = get_type_hints(cls)
    return {
        "type": "record",
        "name": cls.__name__,
        "namespace": space,
        "doc": " ".join((cls.__doc__ or "").split()),
        "fields": [
            _field(field, hints[field.name], space, seen)
            for field in msgspec.structs.fields(cls)
        ],
    }


def _field(
    field: msgspec.structs.FieldInfo, hint: type, space: str, seen: set[str]
) -> JsonObject:
    described: JsonObject = {"name": field.name, "type": _type(hint, space, seen)}
    default = field.default
    if isinstance(default, bytes):
        default = default.decode("latin-1")
    elif default == ():
        default = []
    if default is None or isinstance(default, str | int | list):
        described["default"] = default
    return described


def _type(hint: type, space: str, seen: set[str]) -> JsonValue:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        inner = [h for h in get_args(hint) if h is not type(None)]
        return ["null", *(_type(h, space, seen) for h in inner)]
    if origin is tuple:
        return {"type": "array", "items": _type(get_args(hint)[0], space, seen)}
    if issubclass(hint, msgspec.Struct):
        if hint.__name__ in seen:
            return f"{space}.{hint.__name__}"
        return _record(hint, space, seen)
    message = f"Expected a type with an Avro form, but {hint!r} has none"
    raise TypeError(message)


def write_schemas(messages: MessageSet, *, force: bool = False) -> list[str]:
    """Write the schemas that are missing, or all of them; return their files."""
    messages.folder.mkdir(exist_ok=True)
    written = list[str]()
    for cls in messages.classes:
        path = messages.schema_path(cls, messages.newest(cls))
        if path.exists() and not force:
            continue
        path.write_text(json.dumps(schema_of(cls, messages), indent=2) + "\n")
        written.append(path.name)
    return written


def main() -> None:
    """Write the engine's schemas that are missing; all of them with --force."""
    for name in write_schemas(ENGINE, force="--force" in sys.argv):
        print(name)  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
