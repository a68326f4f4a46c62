"""The decider of evictions of a task's cached outputs."""

from __future__ import annotations

from collections.abc import Sequence

from domain.registry.identity import check_parts, invalid
from schemas.messages.registry_events import CacheEvicted
from schemas.messages.rejections import Rejected


def evict(
    known: Sequence[CacheEvicted], project: str, domain: str, task: str, *, now_us: int
) -> Sequence[CacheEvicted] | Rejected:
    """Evict what was cached until now; the event is never earlier than the last one."""
    if not (project and domain and task):
        return invalid("Expected a task as project/domain/name, but a part is empty")
    parts = (("project", project), ("domain", domain), ("task", task))
    rejected = check_parts(parts)
    if rejected is not None:
        return rejected
    last_us = known[-1].occurred_at_us if known else 0
    return (
        CacheEvicted(
            occurred_at_us=max(now_us, last_us),
            project=project,
            domain=domain,
            task=task,
        ),
    )
