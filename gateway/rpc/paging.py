"""Pages of lists: limit, token, sort and filters of a request (ref §1.3)."""

from __future__ import annotations

import re
from collections.abc import Sized
from typing import Protocol

from flyteidl.admin import common_pb2

from gateway.services.errors import invalid
from projections.queries.page import Page

_OFFSET_DIGITS_MAX = 12
LIMIT_MAX = 10_000
"""A page has at most so many rows; its token leads to the next one."""


class PageRequest(Protocol):
    """What the requests of lists have in common."""

    limit: int
    token: str
    filters: str
    sort_by: common_pb2.Sort


def page_of(request: PageRequest, *, needs_limit: bool = True) -> Page:
    """Return the page that a list request asks for; raises RpcError if invalid."""
    limit = request.limit
    if limit <= 0 and needs_limit:
        raise invalid(f"Expected a limit above 0, but got {limit}")
    return Page(
        limit=min(limit or LIMIT_MAX, LIMIT_MAX),
        offset=_offset(request.token),
        filters=request.filters,
        sort_key=request.sort_by.key,
        ascending=request.sort_by.direction == common_pb2.Sort.ASCENDING,
    )


def _offset(token: str) -> int:
    if not token:
        return 0
    if not re.fullmatch(rf"[0-9]{{1,{_OFFSET_DIGITS_MAX}}}", token):
        shown = token[:100]
        raise invalid(f"Expected a page token of an earlier reply, but got '{shown}'")
    return int(token)


def next_token(page: Page, rows: Sized) -> str:
    """Return the token of the next page; empty once a page isn't full."""
    return str(page.offset + len(rows)) if len(rows) == page.limit else ""
