"""Wishes: what authors ask for beyond Flyte's fields, as annotations and variables.

An execution or launch plan asks by annotation, a single task by a variable of its
container's environment; the task's word counts more.
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
FACTOR_MAX = 16.0
_UNITS_US = {
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)")
_WHOLE = re.compile(f"(?:{_PART.pattern})+")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([a-zA-Z]*)")


def duration_us(text: str) -> int | None:
    """Return the microseconds of a duration like 90s or 1h30m; None if it is none."""
    if not _WHOLE.fullmatch(text):
        return None
    parts = _PART.findall(text)
    return int(sum(Decimal(number) * _UNITS_US[unit] for number, unit in parts))


def factor(text: str) -> float | None:
    """Return how many times more memory an attempt gets; None if that is no factor."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if 1.0 <= found <= FACTOR_MAX else None


def violation(wishes: Mapping[str, str]) -> str | None:
    """Return why the annotations of ours among these can't be granted."""
    for key in sorted(wishes):
        if not key.startswith(PREFIX):
            continue
        if key not in _READ:
            known = ", ".join(sorted(_READ))
            return f"Expected an annotation of {known}, but got '{key}'"
        read, like = _READ[key]
        if read(wishes[key]) is None:
            return f"Expected annotation {key} to be {like}, but it is '{wishes[key]}'"
    return None


def variables_violation(variables: Mapping[str, str]) -> str | None:
    """Return why the variables of ours in a task's environment can't be granted."""
    for key, name in sorted(VARIABLES.items()):
        read, like = _READ[key]
        if name in variables and read(variables[name]) is None:
            return (
                f"Expected variable {name} to be {like}, but it is '{variables[name]}'"
            )
    return None


def times(quantity: str, by: float) -> str:
    """Return a Kubernetes quantity so many times; one that isn't read stays."""
    parsed = _QUANTITY.fullmatch(quantity.strip())
    if parsed is None or by == 1.0:
        return quantity
    grown = Decimal(parsed[1]) * Decimal(str(by))
    return f"{grown.quantize(Decimal('0.001')).normalize():f}{parsed[2]}"


_DURATION = "a duration like 90s or 1h30m"
_READ: dict[str, tuple[Callable[[str], float | None], str]] = {
    TIMEOUT: (duration_us, _DURATION),
    RETRY_BACKOFF: (duration_us, _DURATION),
    MEMORY_FACTOR: (factor, f"a number from 1 to {FACTOR_MAX:g}"),
}
