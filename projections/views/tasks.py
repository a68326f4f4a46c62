"""What events change in the view of task executions; pure."""

from __future__ import annotations

from datetime import datetime

import msgspec

from projections.views.changes import Apply, Changes, error_columns, pack, time_of
from schemas.envelope import Envelope
from schemas.messages import node_events as ne
from schemas.values import TaskLog


def _reason(text: str, us: int) -> str:
    """Return one line of an attempt's history."""
    line = {"reason": text, "occurred_at_us": us}
    return msgspec.json.encode(line).decode() + "\n"


def _logs(logs: tuple[TaskLog, ...]) -> dict[str, bytes]:
    """Return the links that a report bears; one without any keeps the known ones."""
    return {"logs": pack(logs)} if logs else {}


def _task_queued(c: Changes, v: Envelope, m: ne.TaskQueued, at: datetime) -> None:
    c.tasks.put(
        (v.stream, m.node_id, m.attempt),
        {
            "stream": v.stream,
            "node_id": m.node_id,
            "retry_attempt": m.attempt,
            "phase": "QUEUED",
            "task": pack(m.task),
            "project": m.task.project,
            "domain": m.task.domain,
            "name": m.task.name,
            "version": m.task.version,
            "task_type": m.task_type,
            "generated_name": m.generated_name,
            "interruptible": m.interruptible,
            "reasons": _reason(_handed_out(m), m.occurred_at_us),
            "created_at": at,
            "updated_at": at,
        },
    )


def _handed_out(m: ne.TaskQueued) -> str:
    grown = f" with {m.memory} of memory" if m.memory else ""
    return f"task handed out to the runners{grown}"


def _started_by(runner: str) -> str:
    return f"task started by runner {runner}" if runner else "first element started"


def _task_started(c: Changes, v: Envelope, m: ne.TaskStarted, at: datetime) -> None:
    c.tasks.set(
        (v.stream, m.node_id, m.attempt),
        phase="RUNNING",
        phase_version=m.dispatch_no,
        updated_at=at,
        started_at=time_of(m.started_at_us),
        **_logs(m.logs),
        runner=m.runner,
        incarnation=m.incarnation,
        reasons=_reason(_started_by(m.runner), m.occurred_at_us),
    )
    if m.deck_uri:
        c.nodes.set((v.stream, m.node_id), deck_uri=m.deck_uri)


def _task_redispatched(
    c: Changes, v: Envelope, m: ne.TaskRedispatched, _at: datetime
) -> None:
    text = f"task handed out again: {m.reason}"
    key = (v.stream, m.node_id, m.attempt)
    c.tasks.set(key, reasons=_reason(text, m.occurred_at_us))


def _task_succeeded(c: Changes, v: Envelope, m: ne.TaskSucceeded, at: datetime) -> None:
    c.tasks.set(
        (v.stream, m.node_id, m.attempt),
        phase="SUCCEEDED",
        updated_at=at,
        ended_at=time_of(m.ended_at_us),
        outputs=pack(m.outputs),
        deck_uri=m.deck_uri,
        **_logs(m.logs),
    )


def _task_failed(c: Changes, v: Envelope, m: ne.TaskFailed, at: datetime) -> None:
    c.tasks.set(
        (v.stream, m.node_id, m.attempt),
        phase="FAILED",
        updated_at=at,
        ended_at=time_of(m.ended_at_us),
        **_logs(m.logs),
        **error_columns(m.failure),
    )


def _task_aborted(c: Changes, v: Envelope, m: ne.TaskAborted, at: datetime) -> None:
    c.tasks.set(
        (v.stream, m.node_id, m.attempt),
        phase="ABORTED",
        updated_at=at,
        ended_at=at,
        **error_columns(m.failure),
    )


ARRAY_TYPE = "container_array"
"""The task type of an array's only attempt (ref §5.7)."""


def _array_started(c: Changes, v: Envelope, m: ne.ArrayStarted, at: datetime) -> None:
    c.tasks.put(
        (v.stream, m.node_id, m.attempt),
        {
            "stream": v.stream,
            "node_id": m.node_id,
            "retry_attempt": m.attempt,
            "phase": "QUEUED",
            "task": pack(m.target),
            "project": m.target.project,
            "domain": m.target.domain,
            "name": m.target.name,
            "version": m.target.version,
            "task_type": ARRAY_TYPE,
            "generated_name": m.generated_name,
            "interruptible": False,
            "array_size": m.size,
            "reasons": _reason(f"array of {m.size} elements", m.occurred_at_us),
            "created_at": at,
            "updated_at": at,
        },
    )


APPLY: dict[type, Apply] = {
    ne.TaskQueued: _task_queued,
    ne.TaskStarted: _task_started,
    ne.TaskRedispatched: _task_redispatched,
    ne.TaskSucceeded: _task_succeeded,
    ne.TaskFailed: _task_failed,
    ne.TaskAborted: _task_aborted,
    ne.ArrayStarted: _array_started,
}
