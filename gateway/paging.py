"""Pages of lists: limit, token, sort and filters as Flyte reads them (ref §1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.errors import invalid
from projections.queries import Page

_ASCENDING = 1
_OFFSET_MAX = 10**12


def page_of(request: Any, *, needs_limit: bool = True) -> Page:
    """Return the page that a list request asks for; raises Refused."""
    limit = request.limit
    if limit <= 0 and needs_limit:
        raise invalid(f"Expected a limit above 0, but got {limit}")
    sort = request.sort_by
    return Page(
        limit=limit or 10_000,
        offset=_offset(request.token),
        filters=request.filters,
        sort_key=sort.key,
        ascending=sort.direction == _ASCENDING,
    )


def _offset(token: str) -> int:
    if not token:
        return 0
    if not token.isascii() or not token.isdigit() or int(token) > _OFFSET_MAX:
        raise invalid(f"Expected a page token of an earlier reply, but got '{token}'")
    return int(token)


def next_token(page: Page, rows: Sequence[Any]) -> str:
    """Return the token of the next page; '' once a page isn't full."""
    return str(page.offset + len(rows)) if len(rows) == page.limit else ""
