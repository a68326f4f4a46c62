"""What facts change in the view of node executions; pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from projections.cached import owner_of
from projections.changes import Apply, Changes, error_columns, pack
from projections.rows import DynamicWorkflow
from schemas import events as e
from schemas.envelope import Envelope

PARENT_KINDS = frozenset({"workflow", "branch"})


def _node_row(
    v: Envelope, site: e.NodeSite, phase: str, at: datetime
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


def _node_queued(c: Changes, v: Envelope, m: e.NodeQueued, at: datetime) -> None:
    row = _node_row(v, m.site, "QUEUED", at)
    row["inputs"], row["input_path"] = pack(m.inputs), m.input_path
    c.nodes.put((v.stream, m.site.node_id), row)


def _node_skipped(c: Changes, v: Envelope, m: e.NodeSkipped, at: datetime) -> None:
    row = _node_row(v, m.site, "SKIPPED", at)
    c.nodes.put((v.stream, m.site.node_id), row | {"ended_at": at})


def _node_recovered(c: Changes, v: Envelope, m: e.NodeRecovered, at: datetime) -> None:
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


def _node_started(c: Changes, v: Envelope, m: e.NodeStarted, at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), phase="RUNNING", updated_at=at, started_at=at)


def _node_requeued(c: Changes, v: Envelope, m: e.NodeRequeued, _at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), attempt=m.attempt)


def _branch(c: Changes, v: Envelope, m: e.BranchDecided, _at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), chosen=m.chosen)


def _child(c: Changes, v: Envelope, m: e.ChildCreated, _at: datetime) -> None:
    c.nodes.set((v.stream, m.node_id), child=m.child.text())


def _node_expanded(c: Changes, v: Envelope, m: e.NodeExpanded, at: datetime) -> None:
    made = DynamicWorkflow(workflow=m.workflow, inside=m.inside, spec_uri=m.spec_uri)
    c.nodes.set((v.stream, m.node_id), phase="DYNAMIC_RUNNING", updated_at=at)
    c.nodes.set(
        (v.stream, m.node_id),
        is_parent=True,
        is_dynamic=True,
        dynamic_workflow=pack(made),
    )


def _node_succeeded(c: Changes, v: Envelope, m: e.NodeSucceeded, at: datetime) -> None:
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
    """Leave the views as they are: this fact isn't visible through the API."""


APPLY: dict[type, Apply] = {
    e.NodeResolving: _not_shown,
    e.NodeQueued: _node_queued,
    e.NodeStarted: _node_started,
    e.BranchDecided: _branch,
    e.ChildRequested: _not_shown,
    e.ChildCreated: _child,
    e.NodeSucceeding: _not_shown,
    e.NodeSucceeded: _node_succeeded,
    e.NodeFailing: _not_shown,
    e.NodeFailed: _node_ended("FAILED"),
    e.NodeTimingOut: _not_shown,
    e.NodeTimedOut: _node_ended("TIMED_OUT"),
    e.NodeRetryScheduled: _not_shown,
    e.NodeRequeued: _node_requeued,
    e.NodeSkipped: _node_skipped,
    e.NodeRecovered: _node_recovered,
    e.NodeAborted: _node_ended("ABORTED"),
    e.ArrayGathering: _not_shown,
    e.GateSleeping: _not_shown,
    e.NodeExpanded: _node_expanded,
    e.NodeTimeLimited: _not_shown,
}
