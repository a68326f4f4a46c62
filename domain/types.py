"""Type rules: what casts to what, and what a literal's type is (ref §3.3)."""

from __future__ import annotations

from typing import Any


def castable(upstream: Any, downstream: Any) -> bool:
    """Tell whether a value of one core.LiteralType may be used as another."""
    raise NotImplementedError


def literal_type(literal: Any) -> Any | None:
    """Return the core.LiteralType of a core.Literal, None if it has no known one."""
    raise NotImplementedError


def literal_matches(literal: Any, expected: Any) -> bool:
    """Tell whether a core.Literal may be given where a core.LiteralType is expected."""
    raise NotImplementedError
