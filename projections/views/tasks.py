"""What events change in the read model of task executions; pure."""

from __future__ import annotations

from datetime import datetime

from projections.rows import Reason, TaskRow
from projections.views.changes import Changes, on, time_of
from schemas.envelope import Envelope
from schemas.messages import node_events as ne
from schemas.phases import TaskPhase as Phase
from schemas.values import TaskLog

ARRAY_TYPE = "container_array"
"""The task type of an array's only attempt (ref §5.7)."""


def _reasons(text: str, us: int) -> tuple[Reason, ...]:
    """Return one line of an attempt's history."""
    return (Reason(reason=text, occurred_at_us=us),)


def _logs(logs: tuple[TaskLog, ...]) -> dict[str, tuple[TaskLog, ...]]:
    """Return the links of a report; one without any keeps the known ones."""
    return {"logs": logs} if logs else {}


def _queued(c: Changes, v: Envelope, m: ne.TaskQueued, at: datetime) -> None:
    memory = f" with {m.memory} of memory" if m.memory else ""
    text = f"task handed out to the runners{memory}"
    row = TaskRow(
        stream=v.stream,
        node_id=m.node_id,
        retry_attempt=m.attempt,
        phase=Phase.QUEUED,
        task=m.task,
        task_type=m.task_type,
        generated_name=m.generated_name,
        interruptible=m.interruptible,
        reasons=_reasons(text, m.occurred_at_us),
        created_at=at,
        updated_at=at,
    )
    c.tasks.put(row)


def _array_started(c: Changes, v: Envelope, m: ne.ArrayStarted, at: datetime) -> None:
    row = TaskRow(
        stream=v.stream,
        node_id=m.node_id,
        retry_attempt=m.attempt,
        phase=Phase.QUEUED,
        task=m.target,
        task_type=ARRAY_TYPE,
        generated_name=m.generated_name,
        interruptible=False,
        array_size=m.size,
        reasons=_reasons(f"array of {m.size} elements", m.occurred_at_us),
        created_at=at,
        updated_at=at,
    )
    c.tasks.put(row)


def _started(c: Changes, v: Envelope, m: ne.TaskStarted, at: datetime) -> None:
    by = f"task started by runner {m.runner}" if m.runner else "first element started"
    c.tasks.set(
        v.stream,
        m.node_id,
        m.attempt,
        phase=Phase.RUNNING,
        phase_version=m.dispatch_no,
        updated_at=at,
        started_at=time_of(m.started_at_us),
        **_logs(m.logs),
        runner=m.runner,
        incarnation=m.incarnation,
        reasons=_reasons(by, m.occurred_at_us),
    )
    if m.deck_uri:
        c.nodes.set(v.stream, m.node_id, deck_uri=m.deck_uri)


def _redispatched(
    c: Changes, v: Envelope, m: ne.TaskRedispatched, _at: datetime
) -> None:
    reasons = _reasons(f"task handed out again: {m.reason}", m.occurred_at_us)
    c.tasks.set(v.stream, m.node_id, m.attempt, reasons=reasons)


def _succeeded(c: Changes, v: Envelope, m: ne.TaskSucceeded, at: datetime) -> None:
    c.tasks.set(
        v.stream,
        m.node_id,
        m.attempt,
        phase=Phase.SUCCEEDED,
        updated_at=at,
        ended_at=time_of(m.ended_at_us),
        outputs=m.outputs,
        deck_uri=m.deck_uri,
        **_logs(m.logs),
    )


def _failed(c: Changes, v: Envelope, m: ne.TaskFailed, at: datetime) -> None:
    c.tasks.set(
        v.stream,
        m.node_id,
        m.attempt,
        phase=Phase.FAILED,
        updated_at=at,
        ended_at=time_of(m.ended_at_us),
        **_logs(m.logs),
        error=m.failure,
    )


def _aborted(c: Changes, v: Envelope, m: ne.TaskAborted, at: datetime) -> None:
    c.tasks.set(
        v.stream,
        m.node_id,
        m.attempt,
        phase=Phase.ABORTED,
        updated_at=at,
        ended_at=at,
        error=m.failure,
    )


APPLY = dict(
    [
        on(ne.TaskQueued, _queued),
        on(ne.TaskStarted, _started),
        on(ne.TaskRedispatched, _redispatched),
        on(ne.TaskSucceeded, _succeeded),
        on(ne.TaskFailed, _failed),
        on(ne.TaskAborted, _aborted),
        on(ne.ArrayStarted, _array_started),
    ]
)
