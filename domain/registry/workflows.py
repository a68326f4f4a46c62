"""The decider of a workflow version: compiled once, never changed (ref §2.1)."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import description_entity_pb2
from flyteidl.core import compiler_pb2

from domain.registry.identity import already_exists, differs, invalid
from schemas.ids import EntityRef
from schemas.messages.registry_events import WorkflowRegistered
from schemas.messages.rejections import Rejected
from schemas.values import Blob

BOUNDARY_NODES = 2


def register(
    known: Sequence[WorkflowRegistered],
    ref: EntityRef,
    compiled: compiler_pb2.CompiledWorkflowClosure,
    closure: Blob,
    *,
    digest: str,
    nodes_max: int | None,
    description: description_entity_pb2.DescriptionEntity,
    now_us: int,
) -> Sequence[WorkflowRegistered] | Rejected:
    """Register a compiled workflow, which is stored in the blob `closure`.

    `nodes_max` limits its nodes; None doesn't.
    """
    template = compiled.primary.template
    if known:
        if known[0].digest == digest:
            return already_exists(ref)
        # The registered template is in a blob: the caller compares before deciding.
        return differs(ref, template, template)
    count = len(template.nodes) - BOUNDARY_NODES
    if nodes_max is not None and count > nodes_max:
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
