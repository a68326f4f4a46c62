"""Literals as text: what `{{.inputs.x}}` becomes in a command (ref §6.4)."""

from __future__ import annotations

from flyteidl.core import literals_pb2
from google.protobuf.json_format import MessageToJson

from schemas.messages.rejections import Reason, Rejected

_NANOS = 1_000_000_000


def literal_text(literal: literals_pb2.Literal) -> str | Rejected:
    """Return a literal as text for a command; rejects what has none, as maps."""
    match literal.WhichOneof("value"):
        case "collection":
            return _list_text(literal.collection)
        case "scalar":
            return _scalar_text(literal.scalar)
        case kind:
            return _no_text(kind)


def _no_text(kind: str | None) -> Rejected:
    detail = f"Expected an input that has a text form, but it is a {kind or 'nothing'}"
    return Rejected(Reason.INVALID_ARGUMENT, detail)


def _list_text(collection: literals_pb2.LiteralCollection) -> str | Rejected:
    texts = []
    for item in collection.literals:
        text = literal_text(item)
        if isinstance(text, Rejected):
            return text
        texts.append(text)
    return f"[{','.join(texts)}]"


def _scalar_text(scalar: literals_pb2.Scalar) -> str | Rejected:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive_text(scalar.primitive)
        case "union":
            return literal_text(scalar.union.value)
        case "blob":
            return scalar.blob.uri
        case "schema":
            return scalar.schema.uri
        case "structured_dataset":
            return scalar.structured_dataset.uri
        case "generic":
            return MessageToJson(scalar.generic, indent=None)
        case "none_type":
            return ""
        case kind:
            return _no_text(kind)


def _primitive_text(primitive: literals_pb2.Primitive) -> str:
    match primitive.WhichOneof("value"):
        case "integer":
            return str(primitive.integer)
        case "boolean":
            return "true" if primitive.boolean else "false"
        case "float_value":
            return repr(primitive.float_value).removesuffix(".0")
        case "datetime":
            return primitive.datetime.ToJsonString()
        case "duration":
            return _duration(primitive.duration.seconds, primitive.duration.nanos)
        case _:
            return primitive.string_value


def _duration(seconds: int, nanos: int) -> str:
    """Return a duration as Go formats it: 1h2m3.5s."""
    total = seconds * _NANOS + nanos
    sign, total = ("-", -total) if total < 0 else ("", total)
    minutes, rest = divmod(total, 60 * _NANOS)
    hours, minutes = divmod(minutes, 60)
    whole, part = divmod(rest, _NANOS)
    decimals = f".{part:09d}".rstrip("0") if part else ""
    text = f"{whole}{decimals}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"
