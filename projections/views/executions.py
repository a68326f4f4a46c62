"""What events change in the view of executions; pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flyteidl.admin import execution_pb2

from projections.views.changes import Apply, Changes, error_columns, pack
from schemas.envelope import Envelope
from schemas.ids import execution_of
from schemas.messages import execution_events as e


def _created(c: Changes, v: Envelope, m: e.ExecutionCreated, at: datetime) -> None:
    spec = execution_pb2.ExecutionSpec.FromString(m.spec)
    c.executions.put(
        (v.stream,),
        {
            "stream": v.stream,
            "execution_project": m.execution.project,
            "execution_domain": m.execution.domain,
            "execution_name": m.execution.name,
            "phase": "QUEUED",
            "launch_plan": pack(m.launch_plan),
            "launch_plan_project": m.launch_plan.project,
            "launch_plan_domain": m.launch_plan.domain,
            "launch_plan_name": m.launch_plan.name,
            "launch_plan_version": m.launch_plan.version,
            "workflow": pack(m.workflow),
            "workflow_project": m.workflow.project,
            "workflow_domain": m.workflow.domain,
            "workflow_name": m.workflow.name,
            "workflow_version": m.workflow.version,
            "task": pack(m.task) if m.task else None,
            "task_project": m.task.project if m.task else None,
            "task_domain": m.task.domain if m.task else None,
            "task_name": m.task.name if m.task else None,
            "task_version": m.task.version if m.task else None,
            "launch_entity": "task" if m.task else "launch_plan",
            "mode": spec.metadata.mode,
            "user": m.principal,
            "spec": m.spec,
            "definition": pack(m.definition),
            "inputs": pack(m.inputs),
            "user_inputs": pack(m.user_inputs),
            "parent_stream": m.parent.stream if m.parent else None,
            "parent_node_id": m.parent.node_id if m.parent else None,
            "recovers": f"execution/{m.recovers.text()}" if m.recovers else None,
            "source": _source(m, spec),
            "parent_attempt": m.parent.attempt if m.parent else None,
            "max_parallelism": m.max_parallelism,
            "created_at": at,
            "updated_at": at,
        },
    )
    # Flyte writes none for single tasks, and so never finds what eager tasks started.
    tags = [*spec.labels.values.items(), *((tag, "") for tag in spec.tags)]
    c.tags.extend((v.stream, key, value) for key, value in tags)


def _source(m: e.ExecutionCreated, spec: Any) -> str | None:
    """Return the name of the execution that it came from, if it did."""
    if m.parent is not None:
        return execution_of(m.parent.stream).name
    return spec.metadata.reference_execution.name or None


def _execution(phase: str) -> Apply:
    def apply(c: Changes, v: Envelope, _m: Any, at: datetime) -> None:
        c.executions.set((v.stream,), phase=phase, updated_at=at)

    return apply


def _touched(c: Changes, v: Envelope, _m: Any, at: datetime) -> None:
    c.executions.set((v.stream,), updated_at=at)


def _started(c: Changes, v: Envelope, _m: e.ExecutionStarted, at: datetime) -> None:
    c.executions.set((v.stream,), phase="RUNNING", updated_at=at, started_at=at)


def _succeeded(c: Changes, v: Envelope, m: e.ExecutionSucceeded, at: datetime) -> None:
    c.executions.set(
        (v.stream,),
        phase="SUCCEEDED",
        updated_at=at,
        ended_at=at,
        outputs=pack(m.outputs),
    )


def _failing(c: Changes, v: Envelope, m: e.ExecutionFailing, at: datetime) -> None:
    c.executions.set(
        (v.stream,), phase="FAILING", updated_at=at, **error_columns(m.failure)
    )


def _failed(phase: str) -> Apply:
    def apply(c: Changes, v: Envelope, m: Any, at: datetime) -> None:
        c.executions.set(
            (v.stream,),
            phase=phase,
            updated_at=at,
            ended_at=at,
            **error_columns(m.failure),
        )

    return apply


def _aborting(phase: str) -> Apply:
    def apply(c: Changes, v: Envelope, m: Any, at: datetime) -> None:
        ended = {"ended_at": at} if phase == "ABORTED" else {}
        c.executions.set(
            (v.stream,),
            phase=phase,
            updated_at=at,
            abort_cause=m.cause,
            abort_principal=m.principal,
            **ended,
        )

    return apply


APPLY: dict[type, Apply] = {
    e.ExecutionCreated: _created,
    e.ExecutionStarted: _started,
    e.ExecutionSucceeding: _execution("SUCCEEDING"),
    e.ExecutionSucceeded: _succeeded,
    e.ExecutionFailing: _failing,
    e.ExecutionFailed: _failed("FAILED"),
    e.ExecutionAborting: _aborting("ABORTING"),
    e.ExecutionAborted: _aborting("ABORTED"),
    e.ExecutionTimedOut: _failed("TIMED_OUT"),
    e.ExecutionTimeLimited: _touched,
    e.StreamParked: _touched,
    e.StreamResumed: _touched,
}
