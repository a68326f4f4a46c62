"""Literals as text: what `{{.inputs.x}}` becomes in a command (ref §6.4)."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToJson

from schemas.messages.rejections import Reason, Rejected

_NANOS = 1_000_000_000


def literal_text(literal: Any) -> str | Rejected:
    """Return a literal as a word of a command; maps have no such form."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        parts = [literal_text(item) for item in literal.collection.literals]
        for part in parts:
            if isinstance(part, Rejected):
                return part
        return "[" + ",".join(str(part) for part in parts) + "]"
    if kind == "scalar":
        return _scalar(literal.scalar)
    detail = f"Expected an input that has a text, but it is a {kind or 'nothing'}"
    return Rejected(Reason.INVALID_ARGUMENT, detail)


def _scalar(scalar: Any) -> str | Rejected:
    match scalar.WhichOneof("value"):
        case "primitive":
            return _primitive(scalar.primitive)
        case "union":
            return literal_text(scalar.union.value)
        case "blob" | "schema" | "structured_dataset" as kind:
            return str(getattr(scalar, kind).uri)
        case "generic":
            return str(MessageToJson(scalar.generic, indent=None))
        case "none_type":
            return ""
        case kind:
            detail = f"Expected an input that has a text, but it is a {kind}"
            return Rejected(Reason.INVALID_ARGUMENT, detail)


def _primitive(primitive: Any) -> str:
    kind = primitive.WhichOneof("value") or "string_value"
    value = getattr(primitive, kind)
    match kind:
        case "boolean":
            return "true" if value else "false"
        case "float_value":
            return repr(value).removesuffix(".0")
        case "datetime":
            return str(value.ToJsonString())
        case "duration":
            return _duration(value.seconds, value.nanos)
        case _:
            return str(value)


def _duration(seconds: int, nanos: int) -> str:
    """Return a duration as Go writes it: 1h2m3.5s."""
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
