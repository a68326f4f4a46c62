"""Pages: limits, tokens and sort keys as Flyte reads them."""

from __future__ import annotations

import pytest
from flyteidl.admin import common_pb2, project_pb2

from gateway.rpc.paging import LIMIT_MAX, next_token, page_of
from gateway.services.errors import RpcError


def test_a_page_is_read_off_a_request() -> None:
    """Limit, token, filters and sort reach the query."""
    request = common_pb2.ResourceListRequest(limit=5, token="10", filters="eq(a,b)")
    request.sort_by.key = "created_at"
    request.sort_by.direction = common_pb2.Sort.ASCENDING
    page = page_of(request)
    assert (5, 10, "eq(a,b)", "created_at", True) == (
        page.limit, page.offset, page.filters, page.sort_key, page.ascending,
    )  # fmt: skip


def test_descending_is_the_default() -> None:
    """Flyte's zero value sorts descending."""
    assert not page_of(common_pb2.ResourceListRequest(limit=1)).ascending


def test_a_limit_is_required() -> None:
    """A list without a limit is refused, but for projects."""
    with pytest.raises(RpcError, match="limit above 0"):
        page_of(common_pb2.ResourceListRequest())
    page = page_of(project_pb2.ProjectListRequest(), needs_limit=False)
    assert LIMIT_MAX == page.limit


def test_a_limit_is_held_down() -> None:
    """A page is bounded; its token leads on."""
    page = page_of(common_pb2.ResourceListRequest(limit=2**32 - 1))
    assert LIMIT_MAX == page.limit
    assert str(LIMIT_MAX) == next_token(page, range(LIMIT_MAX))


@pytest.mark.parametrize("token", ["-1", "x", "1.5", " 1", "١", "9" * 5_000, "1\n"])
def test_a_bad_token_is_refused(token: str) -> None:
    """Only what an earlier reply gave is a token."""
    with pytest.raises(RpcError, match="page token"):
        page_of(common_pb2.ResourceListRequest(limit=1, token=token))


def test_only_a_full_page_has_a_next_one() -> None:
    """A page that isn't full is the last; a full one may lead to an empty one."""
    page = page_of(common_pb2.ResourceListRequest(limit=2, token="4"))
    assert "6" == next_token(page, [1, 2])
    assert "" == next_token(page, [1])
    assert "" == next_token(page, [])
