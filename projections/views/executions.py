"""What events change in the read model of executions; pure."""

from __future__ import annotations

from datetime import datetime

from flyteidl.admin import execution_pb2

from projections.rows import ExecutionRow, ExecutionTagRow
from projections.views.changes import Changes, on
from schemas.envelope import Envelope
from schemas.ids import execution_of, execution_stream
from schemas.messages import execution_events as e
from schemas.phases import ExecutionPhase as Phase


def _created(c: Changes, v: Envelope, m: e.ExecutionCreated, at: datetime) -> None:
    spec = execution_pb2.ExecutionSpec.FromString(m.spec)
    row = ExecutionRow(
        stream=v.stream,
        execution_project=m.execution.project,
        execution_domain=m.execution.domain,
        execution_name=m.execution.name,
        phase=Phase.QUEUED,
        launch_plan=m.launch_plan,
        workflow=m.workflow,
        task=m.task,
        launch_entity="task" if m.task else "launch_plan",
        mode=spec.metadata.mode,
        user=m.principal,
        spec=m.spec,
        definition=m.definition,
        inputs=m.inputs,
        user_inputs=m.user_inputs,
        parent_stream=m.parent.stream if m.parent else None,
        parent_node_id=m.parent.node_id if m.parent else None,
        parent_attempt=m.parent.attempt if m.parent else None,
        recovers=execution_stream(m.recovers) if m.recovers else None,
        source=_source(m, spec),
        max_parallelism=m.max_parallelism,
        created_at=at,
        updated_at=at,
    )
    c.executions.put(row)
    # Flyte writes none for single tasks, and so never finds what eager tasks started.
    tags = [*spec.labels.values.items(), *((tag, "") for tag in spec.tags)]
    c.tags += [
        ExecutionTagRow(stream=v.stream, key=k, value=value) for k, value in tags
    ]


def _source(m: e.ExecutionCreated, spec: execution_pb2.ExecutionSpec) -> str | None:
    """Return the name of the execution that it came from, if it did."""
    if m.parent is not None:
        return execution_of(m.parent.stream).name
    return spec.metadata.reference_execution.name or None


def _touched(
    c: Changes,
    v: Envelope,
    _m: e.ExecutionTimeLimited | e.StreamParked | e.StreamResumed,
    at: datetime,
) -> None:
    c.executions.set(v.stream, updated_at=at)


def _started(c: Changes, v: Envelope, _m: e.ExecutionStarted, at: datetime) -> None:
    c.executions.set(v.stream, phase=Phase.RUNNING, updated_at=at, started_at=at)


def _succeeding(
    c: Changes, v: Envelope, _m: e.ExecutionSucceeding, at: datetime
) -> None:
    c.executions.set(v.stream, phase=Phase.SUCCEEDING, updated_at=at)


def _succeeded(c: Changes, v: Envelope, m: e.ExecutionSucceeded, at: datetime) -> None:
    c.executions.set(
        v.stream,
        phase=Phase.SUCCEEDED,
        updated_at=at,
        ended_at=at,
        outputs=m.outputs,
    )


def _failing(c: Changes, v: Envelope, m: e.ExecutionFailing, at: datetime) -> None:
    c.executions.set(v.stream, phase=Phase.FAILING, updated_at=at, error=m.failure)


def _failed(
    c: Changes,
    v: Envelope,
    m: e.ExecutionFailed | e.ExecutionTimedOut,
    at: datetime,
) -> None:
    c.executions.set(
        v.stream,
        phase=Phase.FAILED if isinstance(m, e.ExecutionFailed) else Phase.TIMED_OUT,
        updated_at=at,
        ended_at=at,
        error=m.failure,
    )


def _aborted(
    c: Changes,
    v: Envelope,
    m: e.ExecutionAborting | e.ExecutionAborted,
    at: datetime,
) -> None:
    has_ended = isinstance(m, e.ExecutionAborted)
    c.executions.set(
        v.stream,
        phase=Phase.ABORTED if has_ended else Phase.ABORTING,
        updated_at=at,
        **({"ended_at": at} if has_ended else {}),
        abort_cause=m.cause,
        abort_principal=m.principal,
    )


APPLY = dict(
    [
        on(e.ExecutionCreated, _created),
        on(e.ExecutionStarted, _started),
        on(e.ExecutionSucceeding, _succeeding),
        on(e.ExecutionSucceeded, _succeeded),
        on(e.ExecutionFailing, _failing),
        on(e.ExecutionFailed, _failed),
        on(e.ExecutionAborting, _aborted),
        on(e.ExecutionAborted, _aborted),
        on(e.ExecutionTimedOut, _failed),
        on(e.ExecutionTimeLimited, _touched),
        on(e.StreamParked, _touched),
        on(e.StreamResumed, _touched),
    ]
)
