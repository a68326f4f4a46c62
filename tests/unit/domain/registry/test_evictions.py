"""Evictions: what was cached of a task until a moment isn't used any more."""

from __future__ import annotations

import pytest

from domain.registry.evictions import evict
from schemas.messages.registry_events import CacheEvicted
from schemas.messages.rejections import Reason, Rejected


def test_an_eviction_names_the_task_and_the_moment() -> None:
    """Outputs that were cached until then are evicted."""
    assert evict((), "p", "d", "my.task", now_us=5) == (
        CacheEvicted(occurred_at_us=5, project="p", domain="d", task="my.task"),
    )


def test_evicting_again_evicts_what_was_cached_since() -> None:
    """Unlike most commands, a repeated one has an effect of its own."""
    known = evict((), "p", "d", "t", now_us=5)
    assert not isinstance(known, Rejected)
    again = evict(known, "p", "d", "t", now_us=9)
    assert not isinstance(again, Rejected)
    assert again[0].occurred_at_us == 9


def test_an_eviction_is_never_earlier_than_the_last_one() -> None:
    """A gateway whose clock is behind takes nothing back."""
    known = evict((), "p", "d", "t", now_us=5)
    assert not isinstance(known, Rejected)
    late = evict(known, "p", "d", "t", now_us=3)
    assert not isinstance(late, Rejected)
    assert late[0].occurred_at_us == 5


@pytest.mark.parametrize(
    "parts", [("", "d", "t"), ("p", "", "t"), ("p", "d", "")], ids="/".join
)
def test_a_task_is_named_in_full(parts: tuple[str, str, str]) -> None:
    """An empty part is refused: it would not mean all tasks."""
    refused = evict((), *parts, now_us=5)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert "project/domain/name" in refused.detail
