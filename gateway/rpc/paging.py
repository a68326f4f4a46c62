"""Pages of lists: limit, token, sort and filters as Flyte reads them (ref §1.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gateway.services.errors import invalid
from projections.queries.executions import Page

_ASCENDING = 1
_OFFSET_DIGITS_MAX = 12
LIMIT_MAX = 10_000
"""A page holds no more; its token leads on, as after any full page."""


def page_of(request: Any, *, needs_limit: bool = True) -> Page:
    """Return the page that a list request asks for; raises Refused."""
    limit = request.limit
    if limit <= 0 and needs_limit:
        raise invalid(f"Expected a limit above 0, but got {limit}")
    sort = request.sort_by
    return Page(
        limit=min(limit or LIMIT_MAX, LIMIT_MAX),
        offset=_offset(request.token),
        filters=getattr(request, "filters", ""),
        sort_key=sort.key,
        ascending=sort.direction == _ASCENDING,
    )


def _offset(token: str) -> int:
    if not token:
        return 0
    if not re.fullmatch(rf"[0-9]{{1,{_OFFSET_DIGITS_MAX}}}", token):
        shown = token[:100]
        raise invalid(f"Expected a page token of an earlier reply, but got '{shown}'")
    return int(token)


def next_token(page: Page, rows: Sequence[Any]) -> str:
    """Return the token of the next page; '' once a page isn't full."""
    return str(page.offset + len(rows)) if len(rows) == page.limit else ""
