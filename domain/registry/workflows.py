"""The decider of one workflow version: compiled once, never changed (ref §2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.registry.identity import existing, invalid
from schemas.ids import EntityRef
from schemas.messages.registry_events import WorkflowRegistered
from schemas.messages.rejections import Rejected
from schemas.values import Blob

BOUNDARY_NODES = 2


def register(
    known: Sequence[WorkflowRegistered],
    ref: EntityRef,
    compiled: Any,
    closure: Blob,
    *,
    digest: str,
    nodes_max: int,
    description: Any,
    now_us: int,
) -> Sequence[WorkflowRegistered] | Rejected:
    """Register a core.CompiledWorkflowClosure whose bytes lie in `closure`.

    `description` is an admin.DescriptionEntity.
    """
    template = compiled.primary.template
    if known:
        return existing(
            ref, same=known[0].digest == digest, known=template, given=template
        )
    count = len(template.nodes) - BOUNDARY_NODES
    if nodes_max and count > nodes_max:
        return invalid(f"Expected at most {nodes_max} nodes, but there are {count}")
    return (
        WorkflowRegistered(
            occurred_at_us=now_us,
            entity=ref,
            digest=digest,
            short_description=description.short_description,
            interface=template.interface.SerializeToString(deterministic=True),
            closure=closure,
            node_count=count,
            description=description.SerializeToString(deterministic=True),
        ),
    )
