"""Workflows: compiled once, never changed."""

from __future__ import annotations

from typing import Any

from flyteidl.admin.description_entity_pb2 import DescriptionEntity
from flyteidl.core import compiler_pb2

from domain.registry.workflows import register
from schemas.ids import EntityRef
from schemas.messages.registry_events import WorkflowRegistered
from schemas.messages.rejections import Reason, Rejected
from schemas.values import Blob
from tests.support.graphs import task_node, workflow

REF = EntityRef(kind="WORKFLOW", project="p", domain="d", name="main", version="v")
CLOSURE = Blob(uri="closure", digest="0", size=1)


def _register(
    *known: WorkflowRegistered, digest: str = "one", nodes_max: int | None = None
) -> Any:
    nodes = [task_node("n0"), task_node("n1", "n0")]
    compiled = compiler_pb2.CompiledWorkflowClosure(
        primary=workflow("main", nodes, "n1")
    )
    return register(
        known,
        REF,
        compiled,
        CLOSURE,
        digest=digest,
        nodes_max=nodes_max,
        description=DescriptionEntity(short_description="two steps"),
        now_us=1,
    )


def test_a_new_workflow_is_registered() -> None:
    """Start and end don't count as nodes."""
    (event,) = _register()
    assert (event.entity, event.closure, event.node_count) == (REF, CLOSURE, 2)


def test_the_same_workflow_again_already_exists() -> None:
    """An equal digest is the same workflow."""
    refused = _register(*_register())
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.ALREADY_EXISTS


def test_other_content_under_the_same_id_is_refused() -> None:
    """A version never changes."""
    refused = _register(*_register(), digest="other")
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.INVALID_ARGUMENT
    assert "different structure" in refused.detail


def test_a_workflow_may_be_too_large() -> None:
    """A limit on nodes holds for new workflows."""
    assert _register(nodes_max=2)[0].node_count == 2
    refused = _register(nodes_max=1)
    assert isinstance(refused, Rejected)
    assert "Expected at most 1 nodes, but there are 2" in refused.detail
