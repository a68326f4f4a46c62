"""HTTP bodies to and from protobuf messages, in the forms of grpc-gateway; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from gateway.rest.message_fields import InvalidFieldError, set_field
from gateway.rest.route_table import Match
from schemas.json_types import JsonValue

_NESTING_MAX = 100


class Form(StrEnum):
    """How a body is written: binary, JSON by proto names, JSON in camelCase."""

    BINARY = "application/octet-stream"
    SNAKE = "application/json"
    CAMEL = "*/*"


class InvalidRequestError(ValueError):
    """The request's body or a parameter is invalid."""


def form_of(media_types: str) -> Form | None:
    """Return the first form that a header names; None where it names neither."""
    for part in media_types.split(","):
        name = part.partition(";")[0].strip().lower()
        if name in (Form.BINARY, Form.SNAKE):
            return Form(name)
    return None


def forms(accept: str, content_type: str) -> tuple[Form, Form]:
    """Return the forms of the request and of the reply (ref §1.1)."""
    inbound = form_of(content_type)
    outbound = form_of(accept) or inbound
    return inbound or Form.CAMEL, outbound or Form.CAMEL


def read_request(
    match: Match, query: Iterable[tuple[str, str]], body: bytes, form: Form
) -> Message:
    """Return the request: from the body first, then the query, then the path.

    Unknown parameters and unknown fields in JSON are ignored, as grpc-gateway does.
    Raises InvalidRequestError.
    """
    route = match.route
    request = route.request()
    if route.body:
        target = request if route.body == "*" else getattr(request, route.body)
        _read_body(target, body, form)
    try:
        if route.body != "*":
            for name, text in query:
                if not _in_path(name, match.fields):
                    set_field(request, name, text)
        for name, text in match.fields.items():
            set_field(request, name, text)
    except InvalidFieldError as error:
        raise InvalidRequestError(str(error)) from error
    return request


def _in_path(name: str, fields: Mapping[str, str]) -> bool:
    return any(name == f or f.startswith(name + ".") for f in fields)


def _read_body(message: Message, body: bytes, form: Form) -> None:
    if not body:
        return
    kind = message.DESCRIPTOR.name
    if form is Form.BINARY:
        try:
            message.ParseFromString(body)
        except DecodeError as error:
            raise InvalidRequestError(
                f"Expected a binary {kind}, but: {error}"
            ) from error
        return
    try:
        fields = json.loads(body)
        if not isinstance(fields, dict):
            raise InvalidRequestError(
                f"Expected {kind} as a JSON object, but it is another value"
            )
        json_format.ParseDict(
            fields,
            message,
            ignore_unknown_fields=True,
            max_recursion_depth=_NESTING_MAX,
        )
    except (json_format.ParseError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidRequestError):
            raise
        raise InvalidRequestError(f"Expected {kind} as JSON, but: {error}") from error


def write_reply(message: Message, form: Form) -> tuple[bytes, str]:
    """Return a reply's bytes and its media type; unset fields are included."""
    if form is Form.BINARY:
        return message.SerializeToString(), Form.BINARY.value
    written: JsonValue = json_format.MessageToDict(
        message,
        always_print_fields_with_no_presence=True,
        preserving_proto_field_name=form is Form.SNAKE,
    )
    _add_nulls(message, written, form)
    text = json.dumps(written, ensure_ascii=False, separators=(",", ":"))
    return text.encode(), "application/json"


def _add_nulls(message: Message, written: JsonValue, form: Form) -> None:
    """Write messages that are not set as null, as Go's protojson does."""
    well_known = message.DESCRIPTOR.file.package == "google.protobuf"
    if well_known or not isinstance(written, dict):
        return
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            continue
        name = field.name if form is Form.SNAKE else field.json_name
        if field.is_repeated:
            for item, part in _items(getattr(message, field.name), written[name]):
                _add_nulls(item, part, form)
        elif message.HasField(field.name):
            _add_nulls(getattr(message, field.name), written[name], form)
        elif field.containing_oneof is None:
            written[name] = None


def _items(
    items: Sequence[Message] | Mapping[str | int | bool, Message | str | int],
    written: JsonValue,
) -> Iterator[tuple[Message, JsonValue]]:
    """Yield the messages of a list or a map with what was written of each."""
    if isinstance(items, Mapping):
        fields = written if isinstance(written, dict) else {}
        for key, item in items.items():
            if isinstance(item, Message):
                text = str(key).lower() if isinstance(key, bool) else str(key)
                yield item, fields[text]
    elif isinstance(written, list):
        yield from zip(items, written, strict=True)
