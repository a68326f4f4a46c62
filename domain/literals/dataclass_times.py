"""Moments and durations that lay in dataclasses, where they are texts and numbers.

What is taken out of msgpack by an attribute has the type of its encoding; the type
that the node asks for tells what it means (ref §4.3 leaves it as it is).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flyteidl.core import types_pb2
from google.protobuf import duration_pb2, timestamp_pb2

from domain.literals.casting import is_none


def restore(inputs: Any, variables: Mapping[str, Any]) -> None:
    """Turn a core.LiteralMap's texts and numbers into the moments that are asked for.

    What can't be turned stays as it is: its reader knows best why.
    """
    for name, variable in variables.items():
        simple = _asked(variable.type)
        if name not in inputs.literals or simple is None:
            continue
        literal = inputs.literals[name]
        if literal.scalar.WhichOneof("value") == "primitive":
            _turn(literal.scalar.primitive, simple)


def _asked(kind: Any) -> int | None:
    """Return DATETIME or DURATION if that is asked for, or one that may be missing."""
    if kind.WhichOneof("type") == "union_type":
        asked = [v for v in kind.union_type.variants if not is_none(v)]
        return _asked(asked[0]) if len(asked) == 1 else None
    is_moment = kind.simple in {types_pb2.DATETIME, types_pb2.DURATION}
    return int(kind.simple) if is_moment else None


def _turn(primitive: Any, simple: int) -> None:
    kind = primitive.WhichOneof("value")
    if simple == types_pb2.DATETIME and kind == "string_value":
        try:
            moment = datetime.fromisoformat(primitive.string_value)
        except ValueError:
            return
        stamp = timestamp_pb2.Timestamp()
        stamp.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        primitive.datetime.CopyFrom(stamp)
    elif simple == types_pb2.DURATION and kind in {"float_value", "integer"}:
        span = duration_pb2.Duration()
        try:
            span.FromTimedelta(timedelta(seconds=getattr(primitive, kind)))
        except (OverflowError, ValueError):
            return
        primitive.duration.CopyFrom(span)
