"""The journal's words: one readable line for each fact; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas import events as e


def subject(event: e.ExecutionEvent) -> str:
    """Return the id of the node that a fact speaks of; '' for the execution."""
    site = getattr(event, "site", None)
    return str(site.node_id if site else getattr(event, "node_id", ""))


def summary(event: e.ExecutionEvent) -> str:
    """Return what happened, in one line."""
    return LINES[type(event)](event)


def _always(line: str) -> Callable[[Any], str]:
    return lambda _event: line


def _failure(line: str) -> Callable[[Any], str]:
    def tell(event: Any) -> str:
        failure = event.failure
        return f"{line}: [{failure.kind}] {failure.code}: {_first(failure.message)}"

    return tell


def _first(message: str, length: int = 200) -> str:
    """Return a message's first line, cut to a length."""
    line = message.strip().partition("\n")[0]
    return line if len(line) <= length else line[: length - 1] + "…"


def _cause(line: str) -> Callable[[Any], str]:
    def tell(event: Any) -> str:
        by = f" by {event.principal}" if event.principal else ""
        return f"{line}{by}: {_first(event.cause)}"

    return tell


def _attempt(line: str) -> Callable[[Any], str]:
    return lambda event: f"attempt {event.attempt} {line}"


def _created(event: e.ExecutionCreated) -> str:
    what = event.task or event.launch_plan
    by = f" by {event.principal}" if event.principal else ""
    parent = f" for node {event.parent.node_id}" if event.parent else ""
    lost = f" to recover {event.recovers.text()}" if event.recovers else ""
    return f"execution of {what.text()} created{by}{parent}{lost}"


def _task_queued(event: e.TaskQueued) -> str:
    grown = f" with {event.memory} of memory" if event.memory else ""
    return f"attempt {event.attempt} of {event.task.text()} handed out{grown}"


def _task_started(event: e.TaskStarted) -> str:
    by = f" by runner {event.runner}" if event.runner else ""
    return f"attempt {event.attempt} started{by}"


def _task_failed(event: e.TaskFailed) -> str:
    again = "recoverable" if event.recoverable else "not recoverable"
    return _failure(f"attempt {event.attempt} failed ({again})")(event)


def _redispatched(event: e.TaskRedispatched) -> str:
    return f"attempt {event.attempt} handed out again: {_first(event.reason)}"


def _looked_up(event: e.CacheLookedUp) -> str:
    if event.source is not None:
        made_by = f"{event.source.execution.text()}, node {event.source.node_id}"
        return f"cache hit: made by {made_by}"
    waits = ", another node makes them" if event.reservation == "EXISTS" else ""
    return f"cache {event.status.lower()}{waits}"


def _signal_set(event: e.SignalSet) -> str:
    by = f" by {event.principal}" if event.principal else ""
    return f"signal {_first(event.signal_id)} set{by}"


def _deleted(event: e.ExecutionDeleted) -> str:
    by = f" by {event.principal}" if event.principal else ""
    return f"deleted{by}; it had ended {event.phase}"


def _recovered(event: e.NodeRecovered) -> str:
    child = f" with child execution {event.child.text()}" if event.child else ""
    return f"{event.site.kind} node recovered{child}"


def _parked(event: e.StreamParked) -> str:
    return f"parked: {event.command_type} not handled: {_first(event.error)}"


def _resumed(event: e.StreamResumed) -> str:
    return f"resumed by {event.principal}" if event.principal else "resumed"


LINES: dict[type, Callable[[Any], str]] = {
    e.ExecutionCreated: _created,
    e.ExecutionStarted: _always("execution running"),
    e.ExecutionSucceeding: _always("every node is done"),
    e.ExecutionSucceeded: _always("execution succeeded"),
    e.ExecutionFailing: _failure("execution failing"),
    e.ExecutionFailed: _failure("execution failed"),
    e.ExecutionAborting: _cause("execution being aborted"),
    e.ExecutionAborted: _cause("execution aborted"),
    e.ExecutionTimedOut: _failure("execution timed out"),
    e.NodeResolving: _always("inputs being resolved"),
    e.NodeQueued: lambda event: f"{event.site.kind} node queued",
    e.NodeStarted: _always("node running"),
    e.BranchDecided: lambda event: f"branch chose {event.chosen}",
    e.ChildRequested: lambda event: f"child execution {event.child.text()} requested",
    e.ChildCreated: lambda event: f"child execution {event.child.text()} created",
    e.NodeSucceeding: _always("node's work is done"),
    e.NodeSucceeded: _always("node succeeded"),
    e.NodeFailing: _failure("node failing"),
    e.NodeFailed: _failure("node failed"),
    e.NodeTimingOut: _failure("node timing out"),
    e.NodeTimedOut: _failure("node timed out"),
    e.NodeRetryScheduled: _failure("node will be tried again"),
    e.NodeRequeued: lambda event: f"node queued again, attempt {event.attempt}",
    e.NodeSkipped: lambda event: f"{event.site.kind} node skipped",
    e.NodeRecovered: _recovered,
    e.ExecutionDeleted: _deleted,
    e.NodeAborted: _failure("node aborted"),
    e.TaskQueued: _task_queued,
    e.TaskStarted: _task_started,
    e.TaskRedispatched: _redispatched,
    e.TaskSucceeded: _attempt("succeeded"),
    e.TaskFailed: _task_failed,
    e.TaskAborted: _failure("attempt stopped"),
    e.CacheLookupRequested: _always("outputs being looked up"),
    e.CacheLookedUp: _looked_up,
    e.CachePopulated: _always("outputs kept for reuse"),
    e.CachePutFailed: lambda event: f"outputs not kept: {_first(event.reason)}",
    e.ArrayStarted: lambda event: f"array of {event.size} elements begins",
    e.ArrayGathering: _always("outputs of the elements being gathered"),
    e.SignalRequested: lambda event: f"signal {_first(event.signal_id)} waited for",
    e.SignalSet: _signal_set,
    e.NodeExpanded: lambda event: f"dynamic: runs {event.workflow.name}",
    e.GateSleeping: _always("gate sleeping"),
    e.NodeTimeLimited: _always("node has a time limit"),
    e.ExecutionTimeLimited: _always("execution has a time limit"),
    e.StreamParked: _parked,
    e.StreamResumed: _resumed,
}
