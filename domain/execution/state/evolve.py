"""Evolve: the table of what each event does to the state; total, it never rejects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never, TypeVar

from domain.execution.state.folds import (
    attempt_events,
    cache_events,
    execution_events,
    node_events,
)
from domain.execution.state.state import Execution
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne

_E = TypeVar("_E", bound=ne.Event)
Fold = Callable[[Execution, Never], Execution]
"""Returns the state after an event of the class that the table has it under."""


def evolve(state: Execution, event: e.ExecutionEvent) -> Execution:
    """Fold one event into the state."""
    return APPLY[type(event)](state, event)  # type: ignore[arg-type]  # _on pairs them


def _on(
    event: type[_E], fold: Callable[[Execution, _E], Execution]
) -> tuple[type[ne.Event], Fold]:
    """Pair an event's class with its function, whose types must agree."""
    return event, fold


APPLY: dict[type[ne.Event], Fold] = dict(
    (
        _on(e.ExecutionCreated, execution_events.created),
        _on(e.ExecutionStarted, execution_events.started),
        _on(e.ExecutionSucceeding, execution_events.succeeding),
        _on(e.ExecutionSucceeded, execution_events.succeeded),
        _on(e.ExecutionFailing, execution_events.failing),
        _on(e.ExecutionFailed, execution_events.failed),
        _on(e.ExecutionAborting, execution_events.aborting),
        _on(e.ExecutionAborted, execution_events.aborted),
        _on(e.ExecutionTimedOut, execution_events.timed_out),
        _on(e.ExecutionTimeLimited, execution_events.time_limited),
        _on(e.ExecutionDeleted, execution_events.deleted),
        _on(e.StreamParked, execution_events.parked),
        _on(e.StreamResumed, execution_events.resumed),
        _on(e.SignalRequested, execution_events.signal_requested),
        _on(e.SignalSet, execution_events.signal_set),
        _on(ne.NodeResolving, node_events.resolving),
        _on(ne.NodeQueued, node_events.queued),
        _on(ne.NodeStarted, node_events.started),
        _on(ne.NodeSucceeding, node_events.succeeding),
        _on(ne.NodeSucceeded, node_events.succeeded),
        _on(ne.NodeFailing, node_events.failing),
        _on(ne.NodeFailed, node_events.failed),
        _on(ne.NodeTimingOut, node_events.timing_out),
        _on(ne.NodeTimedOut, node_events.timed_out),
        _on(ne.NodeRetryScheduled, node_events.retry_scheduled),
        _on(ne.NodeRequeued, node_events.requeued),
        _on(ne.NodeSkipped, node_events.skipped),
        _on(ne.NodeRecovered, node_events.recovered),
        _on(ne.NodeAborted, node_events.aborted),
        _on(ne.NodeTimeLimited, node_events.time_limited),
        _on(ne.NodeExpanded, node_events.expanded),
        _on(ne.BranchDecided, node_events.branch_decided),
        _on(ne.GateSleeping, node_events.gate_sleeping),
        _on(ne.ChildRequested, node_events.child_requested),
        _on(ne.ChildCreated, node_events.child_created),
        _on(ne.CacheLookupRequested, cache_events.lookup_requested),
        _on(ne.CacheLookedUp, cache_events.looked_up),
        _on(ne.CachePopulated, cache_events.populated),
        _on(ne.CachePutFailed, cache_events.put_failed),
        _on(ne.TaskQueued, attempt_events.queued),
        _on(ne.TaskStarted, attempt_events.started),
        _on(ne.TaskRedispatched, attempt_events.redispatched),
        _on(ne.TaskSucceeded, attempt_events.succeeded),
        _on(ne.TaskFailed, attempt_events.failed),
        _on(ne.TaskAborted, attempt_events.aborted),
        _on(ne.ArrayStarted, attempt_events.array_started),
        _on(ne.ArrayGathering, attempt_events.array_gathering),
    )
)
"""The function for each event of an execution."""
