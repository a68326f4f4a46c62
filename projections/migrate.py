"""Migrations: brings the schema `flightlog` up to date, one numbered file a step."""

from __future__ import annotations

from collections.abc import Sequence


def migrate(url: str) -> Sequence[str]:
    """Apply what is missing; return the ids of what was applied. Blocks."""
    raise NotImplementedError
