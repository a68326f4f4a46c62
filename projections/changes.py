"""What a batch of facts changes in the views: rows to insert, columns to set; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from flyteidl.admin import execution_pb2

from schemas import events as e
from schemas.envelope import Envelope
from schemas.values import Failure

Key = tuple[Any, ...]
pack = msgspec.msgpack.encode


@dataclass(slots=True)
class Rows:
    """Changes of one table: new rows, and columns to set in known ones."""

    inserts: dict[Key, dict[str, Any]] = field(default_factory=dict)
    updates: dict[Key, dict[str, Any]] = field(default_factory=dict)

    def put(self, key: Key, row: dict[str, Any]) -> None:
        """Add a row."""
        self.inserts[key] = row

    def set(self, key: Key, **columns: Any) -> None:
        """Set columns; of a row that the same batch adds, in place."""
        row = self.inserts.get(key)
        if row is None:
            row = self.updates.setdefault(key, {})
        row.update(columns)


@dataclass(slots=True)
class Changes:
    """Changes of all views by one batch."""

    executions: Rows = field(default_factory=Rows)
    nodes: Rows = field(default_factory=Rows)
    tasks: Rows = field(default_factory=Rows)
    tags: list[Key] = field(default_factory=list)
    journal: list[Key] = field(default_factory=list)
    outcomes: dict[str, Key] = field(default_factory=dict)

    def take(self, envelope: Envelope, message: Any) -> None:
        """Take one message of the events topic up."""
        if isinstance(message, e.CommandRejected):
            self.outcomes[message.command_id] = (
                "rejected", "", message.reason, message.detail,
            )  # fmt: skip
            return
        if isinstance(message, e.CommandHadNoEffect):
            self.outcomes[message.command_id] = ("no_effect", "", "", "")
            return
        if envelope.reply:
            self.outcomes[envelope.causation] = ("done", envelope.id, "", "")
        at = _time(message.occurred_at_us)
        APPLY[type(message)](self, envelope.stream, message, at)
        self.journal.append(
            (
                envelope.stream,
                envelope.sequence,
                type(message).__name__,
                at,
                _subject(message),
            )
        )


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1_000_000, UTC)


def _subject(message: Any) -> str:
    site = getattr(message, "site", None)
    return str(site.node_id if site else getattr(message, "node_id", ""))


def _error(failure: Failure) -> dict[str, Any]:
    return {
        "error": pack(failure),
        "error_kind": failure.kind,
        "error_code": failure.code,
    }


def _created(c: Changes, stream: str, m: e.ExecutionCreated, at: datetime) -> None:
    spec = execution_pb2.ExecutionSpec.FromString(m.spec)
    c.executions.put(
        (stream,),
        {
            "stream": stream,
            "execution_project": m.execution.project,
            "execution_domain": m.execution.domain,
            "execution_name": m.execution.name,
            "phase": "QUEUED",
            "launch_plan": pack(m.launch_plan),
            "launch_plan_name": m.launch_plan.name,
            "launch_plan_version": m.launch_plan.version,
            "workflow": pack(m.workflow),
            "workflow_name": m.workflow.name,
            "workflow_version": m.workflow.version,
            "task": pack(m.task) if m.task else None,
            "task_name": m.task.name if m.task else None,
            "launch_entity": "task" if m.task else "launch_plan",
            "mode": spec.metadata.mode,
            "user": m.principal,
            "spec": m.spec,
            "definition": pack(m.definition),
            "inputs": pack(m.inputs),
            "user_inputs": pack(m.user_inputs),
            "parent_stream": m.parent.stream if m.parent else None,
            "parent_node_id": m.parent.node_id if m.parent else None,
            "created_at": at,
            "updated_at": at,
        },
    )
    if m.task is None:
        c.tags.extend((stream, k, v) for k, v in spec.labels.values.items())
        c.tags.extend((stream, tag, "") for tag in spec.tags)


def _execution(phase: str) -> Callable[[Changes, str, Any, datetime], None]:
    def apply(c: Changes, stream: str, _m: Any, at: datetime) -> None:
        c.executions.set((stream,), phase=phase, updated_at=at)

    return apply


def _started(c: Changes, stream: str, _m: e.ExecutionStarted, at: datetime) -> None:
    c.executions.set((stream,), phase="RUNNING", updated_at=at, started_at=at)


def _succeeded(c: Changes, stream: str, m: e.ExecutionSucceeded, at: datetime) -> None:
    c.executions.set(
        (stream,),
        phase="SUCCEEDED",
        updated_at=at,
        ended_at=at,
        outputs=pack(m.outputs),
    )


def _failing(c: Changes, stream: str, m: e.ExecutionFailing, at: datetime) -> None:
    c.executions.set((stream,), phase="FAILING", updated_at=at, **_error(m.failure))


def _failed(phase: str) -> Callable[[Changes, str, Any, datetime], None]:
    def apply(c: Changes, stream: str, m: Any, at: datetime) -> None:
        c.executions.set(
            (stream,), phase=phase, updated_at=at, ended_at=at, **_error(m.failure)
        )

    return apply


def _aborting(phase: str) -> Callable[[Changes, str, Any, datetime], None]:
    def apply(c: Changes, stream: str, m: Any, at: datetime) -> None:
        ended = {"ended_at": at} if phase == "ABORTED" else {}
        c.executions.set(
            (stream,),
            phase=phase,
            updated_at=at,
            abort_cause=m.cause,
            abort_principal=m.principal,
            **ended,
        )

    return apply


def _node_row(stream: str, site: e.NodeSite, phase: str, at: datetime) -> dict[str, Any]:
    return {
        "stream": stream,
        "node_id": site.node_id,
        "phase": phase,
        "spec_node_id": site.spec_node_id,
        "kind": site.kind,
        "node_name": site.name,
        "parent_id": site.parent_id,
        "retry_group": str(site.parent_attempt) if site.parent_id else "0",
        "target": pack(site.target) if site.target else None,
        "input_path": "",
        "inputs": None,
        "created_at": at,
        "updated_at": at,
    }


def _node_queued(c: Changes, stream: str, m: e.NodeQueued, at: datetime) -> None:
    row = _node_row(stream, m.site, "QUEUED", at)
    row["inputs"], row["input_path"] = pack(m.inputs), m.input_path
    c.nodes.put((stream, m.site.node_id), row)


def _node_skipped(c: Changes, stream: str, m: e.NodeSkipped, at: datetime) -> None:
    row = _node_row(stream, m.site, "SKIPPED", at)
    c.nodes.put((stream, m.site.node_id), row | {"ended_at": at})


def _node_started(c: Changes, stream: str, m: e.NodeStarted, at: datetime) -> None:
    c.nodes.set((stream, m.node_id), phase="RUNNING", updated_at=at, started_at=at)


def _branch(c: Changes, stream: str, m: e.BranchDecided, at: datetime) -> None:
    c.nodes.set((stream, m.node_id), chosen=m.chosen, updated_at=at)


def _child(c: Changes, stream: str, m: e.ChildCreated, at: datetime) -> None:
    c.nodes.set((stream, m.node_id), child=m.child.text(), updated_at=at)


def _node_succeeded(c: Changes, stream: str, m: e.NodeSucceeded, at: datetime) -> None:
    c.nodes.set(
        (stream, m.node_id),
        phase="SUCCEEDED",
        updated_at=at,
        ended_at=at,
        outputs=pack(m.outputs),
        deck_uri=m.deck_uri,
    )


def _node_ended(phase: str) -> Callable[[Changes, str, Any, datetime], None]:
    def apply(c: Changes, stream: str, m: Any, at: datetime) -> None:
        c.nodes.set(
            (stream, m.node_id),
            phase=phase,
            updated_at=at,
            ended_at=at,
            **_error(m.failure),
        )

    return apply


def _not_shown(_c: Changes, _stream: str, _m: Any, _at: datetime) -> None:
    """Leave the views as they are: this fact isn't visible through the API."""


def _task_queued(c: Changes, stream: str, m: e.TaskQueued, at: datetime) -> None:
    c.tasks.put(
        (stream, m.node_id, m.attempt),
        {
            "stream": stream,
            "node_id": m.node_id,
            "retry_attempt": m.attempt,
            "phase": "QUEUED",
            "task": pack(m.task),
            "name": m.task.name,
            "version": m.task.version,
            "task_type": m.task_type,
            "generated_name": m.generated_name,
            "interruptible": m.interruptible,
            "created_at": at,
            "updated_at": at,
        },
    )


def _task_started(c: Changes, stream: str, m: e.TaskStarted, at: datetime) -> None:
    c.tasks.set(
        (stream, m.node_id, m.attempt),
        phase="RUNNING",
        phase_version=m.dispatch_no,
        updated_at=at,
        started_at=_time(m.started_at_us),
        logs=pack(m.logs),
    )


def _task_succeeded(c: Changes, stream: str, m: e.TaskSucceeded, at: datetime) -> None:
    c.tasks.set(
        (stream, m.node_id, m.attempt),
        phase="SUCCEEDED",
        updated_at=at,
        ended_at=_time(m.ended_at_us),
        outputs=pack(m.outputs),
        deck_uri=m.deck_uri,
        logs=pack(m.logs),
    )


def _task_failed(c: Changes, stream: str, m: e.TaskFailed, at: datetime) -> None:
    c.tasks.set(
        (stream, m.node_id, m.attempt),
        phase="FAILED",
        updated_at=at,
        ended_at=_time(m.ended_at_us),
        logs=pack(m.logs),
        **_error(m.failure),
    )


def _task_aborted(c: Changes, stream: str, m: e.TaskAborted, at: datetime) -> None:
    c.tasks.set(
        (stream, m.node_id, m.attempt),
        phase="ABORTED",
        updated_at=at,
        ended_at=at,
        **_error(m.failure),
    )


APPLY: dict[type, Callable[[Changes, str, Any, datetime], None]] = {
    e.ExecutionCreated: _created,
    e.ExecutionStarted: _started,
    e.ExecutionSucceeding: _execution("SUCCEEDING"),
    e.ExecutionSucceeded: _succeeded,
    e.ExecutionFailing: _failing,
    e.ExecutionFailed: _failed("FAILED"),
    e.ExecutionAborting: _aborting("ABORTING"),
    e.ExecutionAborted: _aborting("ABORTED"),
    e.ExecutionTimedOut: _failed("TIMED_OUT"),
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
    e.NodeRetryScheduled: _not_shown,
    e.NodeRequeued: _not_shown,
    e.NodeSkipped: _node_skipped,
    e.NodeAborted: _node_ended("ABORTED"),
    e.TaskQueued: _task_queued,
    e.TaskStarted: _task_started,
    e.TaskRedispatched: _not_shown,
    e.TaskSucceeded: _task_succeeded,
    e.TaskFailed: _task_failed,
    e.TaskAborted: _task_aborted,
}
