"""Annotations of executions and launch plans that set what Flyte has no field for.

A task sets the same by a variable of its container's environment, which takes
precedence over the annotation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

TIMEOUT = "flightlog.org/timeout"
RETRY_BACKOFF = "flightlog.org/retry-backoff"
MEMORY_FACTOR = "flightlog.org/oom-memory-factor"
PREFIX = "flightlog.org/"
VARIABLES = {
    RETRY_BACKOFF: "FLIGHTLOG_RETRY_BACKOFF",
    MEMORY_FACTOR: "FLIGHTLOG_OOM_MEMORY_FACTOR",
}
NOTIFY = "flightlog.org/notify"
"""Who is told of an execution: `domain.notifying.annotation` reads it."""
FACTOR_MAX = 16.0
DURATION_US_MAX = 10 * 366 * 86_400_000_000
"""Of a limit that somebody is told by: ten years."""
_UNITS_US = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)")
_DURATION = re.compile(f"(?:{_PART.pattern})+")


def duration_us(text: str) -> int | None:
    """Return the microseconds of a duration like 90s or 1h30m, None for other texts."""
    if not _DURATION.fullmatch(text):
        return None
    parts = _PART.findall(text)
    return int(sum(Decimal(number) * _UNITS_US[unit] for number, unit in parts))


def memory_factor(text: str) -> float | None:
    """Return a factor from 1 to `FACTOR_MAX` for memory, None for other texts."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 1.0 <= found <= FACTOR_MAX else None


def annotations_violation(annotations: Mapping[str, str]) -> str | None:
    """Return what is wrong with the annotations that begin with `PREFIX`."""
    for key in sorted(annotations):
        if not key.startswith(PREFIX) or key == NOTIFY:
            continue
        if key not in _PARSERS:
            known = ", ".join(sorted((*_PARSERS, NOTIFY)))
            return f"Expected an annotation of {known}, but got '{key}'"
        wrong = _value_violation("annotation", key, key, annotations[key])
        if wrong is not None:
            return wrong
    return None


def variables_violation(variables: Mapping[str, str]) -> str | None:
    """Return what is wrong with a task's variables of `VARIABLES`."""
    for key, name in sorted(VARIABLES.items()):
        if name in variables:
            wrong = _value_violation("variable", name, key, variables[name])
            if wrong is not None:
                return wrong
    return None


def _value_violation(what: str, name: str, key: str, value: str) -> str | None:
    parse, expected = _PARSERS[key]
    if parse(value) is not None:
        return None
    return f"Expected {what} {name} to be {expected}, but it is '{value}'"


_DURATION_TEXT = "a duration like 90s or 1h30m"
_PARSERS: dict[str, tuple[Callable[[str], float | None], str]] = {
    TIMEOUT: (duration_us, _DURATION_TEXT),
    RETRY_BACKOFF: (duration_us, _DURATION_TEXT),
    MEMORY_FACTOR: (memory_factor, f"a number from 1 to {FACTOR_MAX:g}"),
}
