"""What events change in the read model of node executions; pure."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from projections.rows import DynamicWorkflow, NodeRow
from projections.views.catalog import owner_of
from projections.views.changes import Changes, not_shown, on
from schemas.envelope import Envelope
from schemas.messages import node_events as ne
from schemas.phases import CacheStatus
from schemas.phases import NodePhase as Phase
from schemas.sites import NodeKind, NodeSite
from schemas.values import Values

PARENT_KINDS = frozenset({NodeKind.WORKFLOW, NodeKind.BRANCH})


def _row(
    v: Envelope,
    site: NodeSite,
    phase: Phase,
    at: datetime,
    inputs: Values | None = None,
    input_path: str = "",
) -> NodeRow:
    return NodeRow(
        stream=v.stream,
        node_id=site.node_id,
        number=v.sequence,
        phase=phase,
        spec_node_id=site.spec_node_id,
        kind=NodeKind(site.kind),
        node_name=site.name,
        parent_id=site.parent_id,
        retry_group=str(site.parent_attempt) if site.parent_id else "0",
        scope=site.scope,
        is_parent=site.kind in PARENT_KINDS,
        is_array=site.kind == NodeKind.ARRAY,
        element=None if site.element < 0 else site.element,
        target=site.target,
        inputs=inputs,
        input_path=input_path,
        created_at=at,
        updated_at=at,
    )


def _queued(c: Changes, v: Envelope, m: ne.NodeQueued, at: datetime) -> None:
    c.nodes.put(_row(v, m.site, Phase.QUEUED, at, m.inputs, m.input_path))


def _skipped(c: Changes, v: Envelope, m: ne.NodeSkipped, at: datetime) -> None:
    c.nodes.put(replace(_row(v, m.site, Phase.SKIPPED, at), ended_at=at))


def _recovered(c: Changes, v: Envelope, m: ne.NodeRecovered, at: datetime) -> None:
    row = replace(
        _row(v, m.site, Phase.RECOVERED, at, m.inputs, m.input_path),
        outputs=m.outputs,
        deck_uri=m.deck_uri,
        ended_at=at,
        child=m.child.text() if m.child else "",
    )
    if m.catalog is not None:
        row = replace(
            row,
            cache_status=CacheStatus(m.cache_status),
            catalog_key=m.catalog,
            catalog_source=m.source,
        )
    c.nodes.put(row)


def _started(c: Changes, v: Envelope, m: ne.NodeStarted, at: datetime) -> None:
    c.nodes.set(v.stream, m.node_id, phase=Phase.RUNNING, updated_at=at, started_at=at)


def _requeued(c: Changes, v: Envelope, m: ne.NodeRequeued, _at: datetime) -> None:
    c.nodes.set(v.stream, m.node_id, attempt=m.attempt)


def _branch(c: Changes, v: Envelope, m: ne.BranchDecided, _at: datetime) -> None:
    c.nodes.set(v.stream, m.node_id, chosen=m.chosen)


def _child(c: Changes, v: Envelope, m: ne.ChildCreated, _at: datetime) -> None:
    c.nodes.set(v.stream, m.node_id, child=m.child.text())


def _expanded(c: Changes, v: Envelope, m: ne.NodeExpanded, at: datetime) -> None:
    c.nodes.set(v.stream, m.node_id, phase=Phase.DYNAMIC_RUNNING, updated_at=at)
    c.nodes.set(
        v.stream,
        m.node_id,
        is_parent=True,
        is_dynamic=True,
        dynamic_workflow=DynamicWorkflow(
            workflow=m.workflow, inside=m.inside, spec_uri=m.spec_uri
        ),
    )


def _succeeded(c: Changes, v: Envelope, m: ne.NodeSucceeded, at: datetime) -> None:
    c.nodes.set(
        v.stream,
        m.node_id,
        phase=Phase.SUCCEEDED,
        updated_at=at,
        ended_at=at,
        outputs=m.outputs,
        deck_uri=m.deck_uri,
    )


_Failure = ne.NodeFailed | ne.NodeTimedOut | ne.NodeAborted
_FAILURES: dict[type[_Failure], Phase] = {
    ne.NodeFailed: Phase.FAILED,
    ne.NodeTimedOut: Phase.TIMED_OUT,
    ne.NodeAborted: Phase.ABORTED,
}


def _failed(c: Changes, v: Envelope, m: _Failure, at: datetime) -> None:
    c.nodes.set(
        v.stream,
        m.node_id,
        phase=_FAILURES[type(m)],
        updated_at=at,
        ended_at=at,
        error=m.failure,
    )
    c.owners_gone.append(owner_of(v.stream, m.node_id))


APPLY = dict(
    [
        on(ne.NodeResolving, not_shown),
        on(ne.NodeQueued, _queued),
        on(ne.NodeStarted, _started),
        on(ne.BranchDecided, _branch),
        on(ne.ChildRequested, not_shown),
        on(ne.ChildCreated, _child),
        on(ne.NodeSucceeding, not_shown),
        on(ne.NodeSucceeded, _succeeded),
        on(ne.NodeFailing, not_shown),
        on(ne.NodeFailed, _failed),
        on(ne.NodeTimingOut, not_shown),
        on(ne.NodeTimedOut, _failed),
        on(ne.NodeRetryScheduled, not_shown),
        on(ne.NodeRequeued, _requeued),
        on(ne.NodeSkipped, _skipped),
        on(ne.NodeRecovered, _recovered),
        on(ne.NodeAborted, _failed),
        on(ne.ArrayGathering, not_shown),
        on(ne.GateSleeping, not_shown),
        on(ne.NodeExpanded, _expanded),
        on(ne.NodeTimeLimited, not_shown),
    ]
)
