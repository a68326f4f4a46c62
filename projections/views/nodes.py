"""What events change in the view of node executions; pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from projections.rows import DynamicWorkflow
from projections.views.catalog import owner_of
from projections.views.changes import Apply, Changes, error_columns, pack
from schemas import sites
from schemas.envelope import Envelope
from schemas.messages import node_events as ne

PARENT_KINDS = frozenset({"workflow", "branch"})


def _node_row(
    v: Envelope, site: sites.NodeSite, phase: str, at: datetime
) -> dict[str, Any]:
    return {
        "stream": v.stream,
        "node_id": site.node_id,
        "number": v.sequence,
        "phase": phase,
        "spec_node_id": site.spec_node_id,
        "kind": site.kind,
        "node_name": site.name,
        "parent_id": site.parent_id,
        "retry_group": str(site.parent_attempt) if site.parent_id else "0",
        "scope": site.scope,
        "is_parent": site.kind in PARENT_KINDS,
        "is_array": site.kind == "array",
        "element": site.element,
        "target": pack(site.target) if site.target else None,
        "input_path": "",
        "inputs": None,
        "created_at": at,
        "updated_at": at,
    }


def _node_queued(c: Changes, v: Envelope, m: ne.NodeQueued, at: datetime) -> None:
    row = _node_row(v, m.site, "QUEUED", at)
    row["inputs"], row["input_path"] = pack(m.inputs), m.input_path
    c.nodes.put((v.stream, m.site.node_id), row)


def _node_skipped(c: Changes, v: Envelope, m: ne.NodeSkipped, at: datetime) -> None:
    row = _node_row(v, m.site, "SKIPPED", at)
    c.nodes.put((v.stream, m.site.node_id), row | {"ended_at": at})


def _node_recovered(c: Changes, v: Envelope, m: ne.NodeRecovered, at: datetime) -> None:
    row = _node_row(v, m.site, "RECOVERED", at)
    row["inputs"], row["input_path"] = pack(m.inputs), m.input_path
    row["outputs"], row["deck_uri"] = pack(m.outputs), m.deck_uri
    row["ended_at"] = at
    if m.child is not None:
        row["child"] = m.child.text()
    if m.catalog is not None:
        row["cache_status"], row["catalog_key"] = m.cache_status, pack(m.catalog)
        row["catalog_source"] = pack(m.source) if m.source else None
    c.nodes.put((v.stream, m.site.node_id), row)


def _node_started(c: Changes, v: Envelope, m: ne.NodeStarted, at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), phase="RUNNING", updated_at=at, started_at=at)


def _node_requeued(c: Changes, v: Envelope, m: ne.NodeRequeued, _at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), attempt=m.attempt)


def _branch(c: Changes, v: Envelope, m: ne.BranchDecided, _at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), chosen=m.chosen)


def _child(c: Changes, v: Envelope, m: ne.ChildCreated, _at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), child=m.child.text())


def _node_expanded(c: Changes, v: Envelope, m: ne.NodeExpanded, at: datetime) -> None:
    made = DynamicWorkflow(workflow=m.workflow, inside=m.inside, spec_uri=m.spec_uri)
    c.nodes.set((v.stream, m.node_id), phase="DYNAMIC_RUNNING", updated_at=at)
    c.nodes.set(
        (v.stream, m.node_id),
        is_parent=True,
        is_dynamic=True,
        dynamic_workflow=pack(made),
    )


def _node_succeeded(c: Changes, v: Envelope, m: ne.NodeSucceeded, at: datetime) -> None:
    c.nodes.set(
        (v.stream, m.node_id),
        phase="SUCCEEDED",
        updated_at=at,
        ended_at=at,
        outputs=pack(m.outputs),
        deck_uri=m.deck_uri,
    )


def _node_ended(phase: str) -> Apply:
    def apply(c: Changes, v: Envelope, m: Any, at: datetime) -> None:
        c.nodes.set(
            (v.stream, m.node_id),
            phase=phase,
            updated_at=at,
            ended_at=at,
            **error_columns(m.failure),
        )
        c.owners_gone.append(owner_of(v.stream, m.node_id))

    return apply


def _not_shown(_c: Changes, _v: Envelope, _m: Any, _at: datetime) -> None:
    """Leave the views as they are: this event isn't visible through the API."""


APPLY: dict[type, Apply] = {
    ne.NodeResolving: _not_shown,
    ne.NodeQueued: _node_queued,
    ne.NodeStarted: _node_started,
    ne.BranchDecided: _branch,
    ne.ChildRequested: _not_shown,
    ne.ChildCreated: _child,
    ne.NodeSucceeding: _not_shown,
    ne.NodeSucceeded: _node_succeeded,
    ne.NodeFailing: _not_shown,
    ne.NodeFailed: _node_ended("FAILED"),
    ne.NodeTimingOut: _not_shown,
    ne.NodeTimedOut: _node_ended("TIMED_OUT"),
    ne.NodeRetryScheduled: _not_shown,
    ne.NodeRequeued: _node_requeued,
    ne.NodeSkipped: _node_skipped,
    ne.NodeRecovered: _node_recovered,
    ne.NodeAborted: _node_ended("ABORTED"),
    ne.ArrayGathering: _not_shown,
    ne.GateSleeping: _not_shown,
    ne.NodeExpanded: _node_expanded,
    ne.NodeTimeLimited: _not_shown,
}
