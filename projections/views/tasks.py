"""What events change in the read model of task executions; pure."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from projections.columns import ColumnValue
from projections.rows import Reason, TaskRow
from projections.views.changes import Changes, on, time_of
from schemas.envelope import Envelope
from schemas.ids import EntityRef
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
    task, kind, interruptible = m.task, m.task_type, m.interruptible
    row = _new(v, m, at, text, task=task, task_type=kind, interruptible=interruptible)
    c.tasks.put(row)


def _new(
    v: Envelope,
    m: ne.TaskQueued | ne.ArrayStarted,
    at: datetime,
    reason: str,
    *,
    task: EntityRef,
    task_type: str,
    interruptible: bool,
) -> TaskRow:
    """Return the row of an attempt that is queued."""
    return TaskRow(
        stream=v.stream,
        node_id=m.node_id,
        retry_attempt=m.attempt,
        phase=Phase.QUEUED,
        task=task,
        task_type=task_type,
        generated_name=m.generated_name,
        interruptible=interruptible,
        reasons=_reasons(reason, m.occurred_at_us),
        created_at=at,
        updated_at=at,
    )


def _array_started(c: Changes, v: Envelope, m: ne.ArrayStarted, at: datetime) -> None:
    text = f"array of {m.size} elements"
    row = _new(v, m, at, text, task=m.target, task_type=ARRAY_TYPE, interruptible=False)
    c.tasks.put(replace(row, array_size=m.size))


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
    _end(c, v, m, at, phase=Phase.SUCCEEDED, outputs=m.outputs, deck_uri=m.deck_uri)


def _failed(c: Changes, v: Envelope, m: ne.TaskFailed, at: datetime) -> None:
    _end(c, v, m, at, phase=Phase.FAILED, error=m.failure)


def _end(
    c: Changes,
    v: Envelope,
    m: ne.TaskSucceeded | ne.TaskFailed,
    at: datetime,
    **fields: ColumnValue,
) -> None:
    """End an attempt at the time that its runner reported."""
    fields |= {"updated_at": at, "ended_at": time_of(m.ended_at_us), **_logs(m.logs)}
    c.tasks.set(v.stream, m.node_id, m.attempt, **fields)


def _aborted(c: Changes, v: Envelope, m: ne.TaskAborted, at: datetime) -> None:
    key = (v.stream, m.node_id, m.attempt)
    c.tasks.set(*key, phase=Phase.ABORTED, updated_at=at, ended_at=at, error=m.failure)


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
