"""The lines of the journal: each event in plain text; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import ReservationStatus
from schemas.values import Failure

E_contra = TypeVar("E_contra", bound=ne.Event, contravariant=True)
Line = Callable[[E_contra], str]
"""Makes the line of an event of one class."""
_LENGTH_MAX = 200


class _Failing(Protocol):
    @property
    def failure(self) -> Failure: ...


class _Aborting(Protocol):
    @property
    def cause(self) -> str: ...

    @property
    def principal(self) -> str: ...


class _OfAttempt(Protocol):
    @property
    def attempt(self) -> int: ...


def subject(event: ne.Event) -> str:
    """Return the id of the node that an event is about; '' for the execution."""
    site = getattr(event, "site", None)
    return str(site.node_id if site else getattr(event, "node_id", ""))


def summary(event: ne.Event) -> str:
    """Return what happened, in one line."""
    return LINES[type(event)](event)


def _always(line: str) -> Line[ne.Event]:
    return lambda _event: line


def _failure(line: str) -> Callable[[_Failing], str]:
    def write(event: _Failing) -> str:
        failure = event.failure
        message = _first_line(failure.message)
        return f"{line}: [{failure.kind}] {failure.code}: {message}"

    return write


def _first_line(message: str) -> str:
    """Return a message's first line, cut to a length."""
    line = message.strip().partition("\n")[0]
    return line if len(line) <= _LENGTH_MAX else line[: _LENGTH_MAX - 1] + "…"


def _by(principal: str) -> str:
    return f" by {principal}" if principal else ""


def _cause(line: str) -> Callable[[_Aborting], str]:
    return lambda event: f"{line}{_by(event.principal)}: {_first_line(event.cause)}"


def _attempt(line: str) -> Callable[[_OfAttempt], str]:
    return lambda event: f"attempt {event.attempt} {line}"


def _created(event: e.ExecutionCreated) -> str:
    what = event.task or event.launch_plan
    parent = f" for node {event.parent.node_id}" if event.parent else ""
    lost = f" to recover {event.recovers.text()}" if event.recovers else ""
    return f"execution of {what.text()} created{_by(event.principal)}{parent}{lost}"


def _task_queued(event: ne.TaskQueued) -> str:
    memory = f" with {event.memory} of memory" if event.memory else ""
    return f"attempt {event.attempt} of {event.task.text()} handed out{memory}"


def _task_started(event: ne.TaskStarted) -> str:
    by = f" by runner {event.runner}" if event.runner else ""
    return f"attempt {event.attempt} started{by}"


def _task_failed(event: ne.TaskFailed) -> str:
    again = "recoverable" if event.recoverable else "not recoverable"
    return _failure(f"attempt {event.attempt} failed ({again})")(event)


def _redispatched(event: ne.TaskRedispatched) -> str:
    return f"attempt {event.attempt} handed out again: {_first_line(event.reason)}"


def _looked_up(event: ne.CacheLookedUp) -> str:
    if event.source is not None:
        made_by = f"{event.source.execution.text()}, node {event.source.node_id}"
        return f"cache hit: made by {made_by}"
    waits = (
        ", another node makes them"
        if event.reservation == ReservationStatus.EXISTS
        else ""
    )
    return f"cache {event.status.lower()}{waits}"


def _signal_set(event: e.SignalSet) -> str:
    return f"signal {_first_line(event.signal_id)} set{_by(event.principal)}"


def _deleted(event: e.ExecutionDeleted) -> str:
    return f"deleted{_by(event.principal)}; it had ended {event.phase}"


def _recovered(event: ne.NodeRecovered) -> str:
    child = f" with child execution {event.child.text()}" if event.child else ""
    return f"{event.site.kind} node recovered{child}"


def _parked(event: e.StreamParked) -> str:
    error = _first_line(event.error)
    return f"parked: {event.command_type} not handled: {error}"


def _resumed(event: e.StreamResumed) -> str:
    return f"resumed{_by(event.principal)}"


def _on(event: type[E_contra], line: Line[E_contra]) -> tuple[type, Line[Any]]:
    return event, line


LINES = dict(
    [
        _on(e.ExecutionCreated, _created),
        _on(e.ExecutionStarted, _always("execution running")),
        _on(e.ExecutionSucceeding, _always("every node is done")),
        _on(e.ExecutionSucceeded, _always("execution succeeded")),
        _on(e.ExecutionFailing, _failure("execution failing")),
        _on(e.ExecutionFailed, _failure("execution failed")),
        _on(e.ExecutionAborting, _cause("execution being aborted")),
        _on(e.ExecutionAborted, _cause("execution aborted")),
        _on(e.ExecutionTimedOut, _failure("execution timed out")),
        _on(ne.NodeResolving, _always("inputs being resolved")),
        _on(ne.NodeQueued, lambda event: f"{event.site.kind} node queued"),
        _on(ne.NodeStarted, _always("node running")),
        _on(ne.BranchDecided, lambda event: f"branch chose {event.chosen}"),
        _on(
            ne.ChildRequested,
            lambda event: f"child execution {event.child.text()} requested",
        ),
        _on(
            ne.ChildCreated,
            lambda event: f"child execution {event.child.text()} created",
        ),
        _on(ne.NodeSucceeding, _always("node's work is done")),
        _on(ne.NodeSucceeded, _always("node succeeded")),
        _on(ne.NodeFailing, _failure("node failing")),
        _on(ne.NodeFailed, _failure("node failed")),
        _on(ne.NodeTimingOut, _failure("node timing out")),
        _on(ne.NodeTimedOut, _failure("node timed out")),
        _on(ne.NodeRetryScheduled, _failure("node will be tried again")),
        _on(
            ne.NodeRequeued, lambda event: f"node queued again, attempt {event.attempt}"
        ),
        _on(ne.NodeSkipped, lambda event: f"{event.site.kind} node skipped"),
        _on(ne.NodeRecovered, _recovered),
        _on(e.ExecutionDeleted, _deleted),
        _on(ne.NodeAborted, _failure("node aborted")),
        _on(ne.TaskQueued, _task_queued),
        _on(ne.TaskStarted, _task_started),
        _on(ne.TaskRedispatched, _redispatched),
        _on(ne.TaskSucceeded, _attempt("succeeded")),
        _on(ne.TaskFailed, _task_failed),
        _on(ne.TaskAborted, _failure("attempt stopped")),
        _on(ne.CacheLookupRequested, _always("outputs being looked up")),
        _on(ne.CacheLookedUp, _looked_up),
        _on(ne.CachePopulated, _always("outputs kept for reuse")),
        _on(
            ne.CachePutFailed,
            lambda event: f"outputs not kept: {_first_line(event.reason)}",
        ),
        _on(ne.ArrayStarted, lambda event: f"array of {event.size} elements begins"),
        _on(ne.ArrayGathering, _always("outputs of the elements being gathered")),
        _on(
            e.SignalRequested,
            lambda event: f"signal {_first_line(event.signal_id)} waited for",
        ),
        _on(e.SignalSet, _signal_set),
        _on(ne.NodeExpanded, lambda event: f"dynamic: runs {event.workflow.name}"),
        _on(ne.GateSleeping, _always("gate sleeping")),
        _on(ne.NodeTimeLimited, _always("node has a time limit")),
        _on(e.ExecutionTimeLimited, _always("execution has a time limit")),
        _on(e.StreamParked, _parked),
        _on(e.StreamResumed, _resumed),
    ]
)
