"""The journal's words: one readable line for each event; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.messages import execution_events as e
from schemas.messages import node_events as ne


def subject(event: e.ExecutionEvent) -> str:
    """Return the id of the node that an event speaks of; '' for the execution."""
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


def _task_queued(event: ne.TaskQueued) -> str:
    grown = f" with {event.memory} of memory" if event.memory else ""
    return f"attempt {event.attempt} of {event.task.text()} handed out{grown}"


def _task_started(event: ne.TaskStarted) -> str:
    by = f" by runner {event.runner}" if event.runner else ""
    return f"attempt {event.attempt} started{by}"


def _task_failed(event: ne.TaskFailed) -> str:
    again = "recoverable" if event.recoverable else "not recoverable"
    return _failure(f"attempt {event.attempt} failed ({again})")(event)


def _redispatched(event: ne.TaskRedispatched) -> str:
    return f"attempt {event.attempt} handed out again: {_first(event.reason)}"


def _looked_up(event: ne.CacheLookedUp) -> str:
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


def _recovered(event: ne.NodeRecovered) -> str:
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
    ne.NodeResolving: _always("inputs being resolved"),
    ne.NodeQueued: lambda event: f"{event.site.kind} node queued",
    ne.NodeStarted: _always("node running"),
    ne.BranchDecided: lambda event: f"branch chose {event.chosen}",
    ne.ChildRequested: lambda event: f"child execution {event.child.text()} requested",
    ne.ChildCreated: lambda event: f"child execution {event.child.text()} created",
    ne.NodeSucceeding: _always("node's work is done"),
    ne.NodeSucceeded: _always("node succeeded"),
    ne.NodeFailing: _failure("node failing"),
    ne.NodeFailed: _failure("node failed"),
    ne.NodeTimingOut: _failure("node timing out"),
    ne.NodeTimedOut: _failure("node timed out"),
    ne.NodeRetryScheduled: _failure("node will be tried again"),
    ne.NodeRequeued: lambda event: f"node queued again, attempt {event.attempt}",
    ne.NodeSkipped: lambda event: f"{event.site.kind} node skipped",
    ne.NodeRecovered: _recovered,
    e.ExecutionDeleted: _deleted,
    ne.NodeAborted: _failure("node aborted"),
    ne.TaskQueued: _task_queued,
    ne.TaskStarted: _task_started,
    ne.TaskRedispatched: _redispatched,
    ne.TaskSucceeded: _attempt("succeeded"),
    ne.TaskFailed: _task_failed,
    ne.TaskAborted: _failure("attempt stopped"),
    ne.CacheLookupRequested: _always("outputs being looked up"),
    ne.CacheLookedUp: _looked_up,
    ne.CachePopulated: _always("outputs kept for reuse"),
    ne.CachePutFailed: lambda event: f"outputs not kept: {_first(event.reason)}",
    ne.ArrayStarted: lambda event: f"array of {event.size} elements begins",
    ne.ArrayGathering: _always("outputs of the elements being gathered"),
    e.SignalRequested: lambda event: f"signal {_first(event.signal_id)} waited for",
    e.SignalSet: _signal_set,
    ne.NodeExpanded: lambda event: f"dynamic: runs {event.workflow.name}",
    ne.GateSleeping: _always("gate sleeping"),
    ne.NodeTimeLimited: _always("node has a time limit"),
    e.ExecutionTimeLimited: _always("execution has a time limit"),
    e.StreamParked: _parked,
    e.StreamResumed: _resumed,
}
