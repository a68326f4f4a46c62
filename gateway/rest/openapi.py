"""OpenAPI of the REST routes, from the same descriptors as the routes; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NotRequired, TypedDict

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.rest.route_table import Route
from schemas.json_types import JsonObject, JsonValue

_WELL_KNOWN: dict[str, JsonObject] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "example": "3.5s"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.BoolValue": {"type": "boolean", "nullable": True},
    "google.protobuf.StringValue": {"type": "string", "nullable": True},
}
_SCALARS: dict[int, JsonObject] = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "int64"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number", "format": "float"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
}
_ERROR: JsonObject = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "integer", "description": "The gRPC status code."},
        "message": {"type": "string"},
        "details": {"type": "array", "items": {}},
    },
}
_PARAMETER_DEPTH_MAX = 3

Parameter = TypedDict(
    "Parameter",
    {"name": str, "in": str, "required": NotRequired[bool], "schema": JsonObject},
)


class Content(TypedDict):
    """The body of a request or a response."""

    description: str
    content: dict[str, dict[str, JsonObject]]
    required: NotRequired[bool]


class Operation(TypedDict):
    """One HTTP method on one path."""

    operationId: str
    tags: list[str]
    parameters: list[Parameter]
    responses: dict[str, Content]
    requestBody: NotRequired[Content]


class Document(TypedDict):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, str]
    paths: dict[str, dict[str, Operation]]
    components: dict[str, dict[str, JsonObject]]


class _Schemas:
    """The schemas of the messages met so far, by full name."""

    def __init__(self) -> None:
        self.found: dict[str, JsonObject] = {}

    def of_message(self, descriptor: Descriptor) -> JsonObject:
        name = descriptor.full_name
        if name in _WELL_KNOWN:
            return _WELL_KNOWN[name]
        if name not in self.found:
            self.found[name] = {}  # Messages may contain themselves.
            properties: JsonObject = {
                field.json_name: self.of_field(field) for field in descriptor.fields
            }
            self.found[name] = {"type": "object", "properties": properties}
        return {"$ref": f"#/components/schemas/{name}"}

    def of_field(self, field: FieldDescriptor) -> JsonObject:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            value = self.of_item(message.fields_by_name["value"])
            return {"type": "object", "additionalProperties": value}
        item = self.of_item(field)
        return {"type": "array", "items": item} if field.is_repeated else item

    def of_item(self, field: FieldDescriptor) -> JsonObject:
        if field.message_type is not None:
            return self.of_message(field.message_type)
        if field.enum_type is not None:
            names: list[JsonValue] = [value.name for value in field.enum_type.values]
            return {"type": "string", "enum": names}
        if field.type == FieldDescriptor.TYPE_BYTES:
            return {"type": "string", "format": "byte"}
        return _SCALARS.get(field.cpp_type, {"type": "string"})


def describe(routes: Sequence[Route], version: str) -> Document:
    """Return the OpenAPI document of these routes."""
    schemas, names = _Schemas(), set[str]()
    paths: dict[str, dict[str, Operation]] = {}
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


def _operation(route: Route, schemas: _Schemas) -> Operation:
    in_path = [segment.text for segment in route.segments if segment.is_field]
    operation: Operation = {
        "operationId": route.rpc,
        "tags": [route.service.rpartition(".")[2]],
        "parameters": [
            {
                "name": path,
                "in": "path",
                "required": True,
                "schema": schemas.of_item(_find(route.input_type, path)),
            }
            for path in in_path
        ],
        "responses": {
            "200": _content(schemas.of_message(route.output_type), "OK"),
            "default": _content({"$ref": "#/components/schemas/Error"}, "Failed"),
        },
    }
    if route.body:
        body = _content(schemas.of_message(route.input_type), "")
        operation["requestBody"] = {**body, "required": True}
    else:
        operation["parameters"] += [
            {"name": path, "in": "query", "schema": schemas.of_field(field)}
            for path, field in _parameters(route.input_type)
            if path not in in_path
        ]
    return operation


def _content(schema: JsonObject, description: str) -> Content:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
    }


def _find(descriptor: Descriptor, path: str) -> FieldDescriptor:
    name, _, rest = path.partition(".")
    field = descriptor.fields_by_name[name]
    if field.message_type is None or not rest:
        return field
    return _find(field.message_type, rest)


def _parameters(
    descriptor: Descriptor, prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, FieldDescriptor]]:
    for field in descriptor.fields:
        message = field.message_type
        if message is None or message.full_name in _WELL_KNOWN:
            yield prefix + field.name, field
        elif not field.is_repeated and depth < _PARAMETER_DEPTH_MAX:
            yield from _parameters(message, f"{prefix}{field.name}.", depth + 1)
