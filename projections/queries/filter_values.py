"""Values in filters, by the type of their column: numbers, times, durations, text."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from projections.columns import SqlType

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|h|m|s)")
_UNIT_S = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3,
    "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip


class InvalidValueError(ValueError):
    """A text that is no value of the column's type."""


def value_of(type_: SqlType, text: str) -> int | float | datetime | str:
    """Return the value of a text; raises InvalidValueError."""
    match type_:
        case "bigint":
            return _integer(text)
        case "timestamptz":
            return _time(text)
        case "double precision":
            return _seconds(text)
        case _:
            return text


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        message = f"'{text}' is no whole number"
        raise InvalidValueError(message) from error


def _time(text: str) -> datetime:
    """Read RFC 3339; a time without a zone is UTC."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"timestamp {text} must conform to RFC3339 Nano spec"
        raise InvalidValueError(message) from error


def _seconds(text: str) -> float:
    """Read a number of seconds, or a duration as Go writes it (1h2m3.5s)."""
    sign, bare = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
    found = _DURATION.findall(bare)
    if found and "".join(number + unit for number, unit in found) == bare:
        return sign * float(sum(float(n) * _UNIT_S[unit] for n, unit in found))
    try:
        return float(text)
    except ValueError as error:
        message = f"failed to parse duration [{text}]"
        raise InvalidValueError(message) from error
