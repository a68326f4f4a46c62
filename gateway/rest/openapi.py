"""OpenAPI of the REST routes, from the same descriptors as the routes; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from gateway.rest.route_table import Route

_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "example": "3.5s"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.BoolValue": {"type": "boolean", "nullable": True},
    "google.protobuf.StringValue": {"type": "string", "nullable": True},
}
_SCALARS: dict[int, dict[str, Any]] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "integer", "description": "The gRPC status code."},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {}},
    },
}
_PARAMETER_DEPTH_MAX = 3


class _Schemas:
    """The messages met so far, by full name."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def of_message(self, descriptor: Any) -> dict[str, Any]:
        name = descriptor.full_name
        if name in _WELL_KNOWN:
            return _WELL_KNOWN[name]
        if name not in self.found:
            self.found[name] = {}
            self.found[name] = {
                "type": "object",
                "properties": {
                    f.json_name: self.of_field(f) for f in descriptor.fields
                },
            }
        return {"$ref": f"#/components/schemas/{name}"}

    def of_field(self, field: Any) -> dict[str, Any]:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            value = self.of_one(message.fields_by_name["value"])
            return {"type": "object", "additionalProperties": value}
        one = self.of_one(field)
        return {"type": "array", "items": one} if field.is_repeated else one

    def of_one(self, field: Any) -> dict[str, Any]:
        if field.message_type is not None:
            return self.of_message(field.message_type)
        if field.enum_type is not None:
            return {
                "type": "string",
                "enum": [value.name for value in field.enum_type.values],
            }
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "format": "byte"}
        return _SCALARS.get(field.cpp_type, {"type": "string"})


def describe(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the OpenAPI document of these routes."""
    schemas, paths = _Schemas(), dict[str, Any]()
    names = set[str]()
    for route in routes:
        operation = _operation(route, schemas)
        if operation["operationId"] in names:
            operation["operationId"] += str(len(route.segments))
        names.add(operation["operationId"])
        paths.setdefault(route.path, {})[route.http_method.lower()] = operation
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Flightlog",
            "version": version,
            "description": "Flyte's REST API, as flyteidl's annotations map it.",
        },
        "paths": paths,
        "components": {"schemas": {**schemas.found, "Error": _ERROR}},
    }


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    descriptor = route.request.DESCRIPTOR
    in_path = [segment.text for segment in route.segments if segment.is_field]
    operation: dict[str, Any] = {
        "operationId": route.rpc,
        "tags": [route.service.rpartition(".")[2]],
        "parameters": [
            {
                "name": path,
                "in": "path",
                "required": True,
                "schema": schemas.of_one(_find(descriptor, path)),
            }
            for path in in_path
        ],
        "responses": {
            "200": _json(schemas.of_message(route.reply.DESCRIPTOR), "OK"),
            "default": _json({"$ref": "#/components/schemas/Error"}, "Failed"),
        },
    }
    if route.body:
        operation["requestBody"] = _json(schemas.of_message(descriptor), "") | {
            "required": True
        }
    else:
        operation["parameters"] += [
            {"name": path, "in": "query", "schema": schemas.of_field(field)}
            for path, field in _parameters(descriptor)
            if path not in in_path
        ]
    return operation


def _json(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
    }


def _find(descriptor: Any, path: str) -> Any:
    *parents, last = path.split(".")
    for name in parents:
        descriptor = descriptor.fields_by_name[name].message_type
    return descriptor.fields_by_name[last]


def _parameters(
    descriptor: Any, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    for field in descriptor.fields:
        message = field.message_type
        nested = message is not None and message.full_name not in _WELL_KNOWN
        if not nested:
            yield prefix + field.name, field
        elif not field.is_repeated and depth < _PARAMETER_DEPTH_MAX:
            yield from _parameters(message, f"{prefix}{field.name}.", depth + 1)
