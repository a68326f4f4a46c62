"""Flyte's filter and sort strings → SQL with parameters, by an allow-list of columns.

The grammar and the errors follow FlyteAdmin (ref §1.3, with §0b.1).
"""

from __future__ import annotations

import msgspec


class Sort(msgspec.Struct, frozen=True, kw_only=True):
    """A sort key as clients write it; descending unless told otherwise."""

    key: str
    ascending: bool = False


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted: a filter string, an order, a window."""

    limit: int
    offset: int = 0
    filters: str = ""
    sort: Sort | None = None
