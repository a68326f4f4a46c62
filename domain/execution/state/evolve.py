"""Evolve: one small function for each event; total, and never refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from domain.execution.state.array_counters import counted
from domain.execution.state.state import Array, Execution, Lease, Node, Signal
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import ExecutionPhase, NodePhase, TaskPhase
from schemas.values import Failure

_SLOT_KINDS = frozenset({"task", "launch_plan", "array"})


def evolve(state: Execution, event: e.ExecutionEvent) -> Execution:
    """Fold one event into the state."""
    return APPLY[type(event)](state, event)


def _created(state: Execution, event: e.ExecutionCreated) -> Execution:
    return replace(state, created=event, phase=ExecutionPhase.QUEUED)


def _phase(phase: ExecutionPhase) -> Callable[[Execution, Any], Execution]:
    def apply(state: Execution, _event: Any) -> Execution:
        return replace(state, phase=phase)

    return apply


def _succeeded(state: Execution, event: e.ExecutionSucceeded) -> Execution:
    return replace(state, phase=ExecutionPhase.SUCCEEDED, outputs=event.outputs)


def _failing(state: Execution, event: e.ExecutionFailing) -> Execution:
    return replace(state, phase=ExecutionPhase.FAILING, failure=event.failure)


def _failed(state: Execution, event: e.ExecutionFailed) -> Execution:
    return replace(state, phase=ExecutionPhase.FAILED, failure=event.failure)


def _timed_out(state: Execution, event: e.ExecutionTimedOut) -> Execution:
    return replace(state, phase=ExecutionPhase.TIMED_OUT, failure=event.failure)


def _time_limited(state: Execution, event: e.ExecutionTimeLimited) -> Execution:
    return replace(state, deadline_us=event.deadline_us)


def _put(state: Execution, node: Node) -> Execution:
    if node.site.element >= 0:
        state = counted(state, node)
    node_id = node.site.node_id
    known = state.nodes.get(node_id)
    nodes = state.nodes.set(node_id, node)
    was_active = known is not None and not known.is_terminal
    slots = state.slots + _slots(node) - (_slots(known) if known is not None else 0)
    active = state.active
    if was_active and node.is_terminal:
        active = active.delete(node_id)
    elif not was_active and not node.is_terminal:
        active = active.set(node_id, None)
    return replace(state, nodes=nodes, active=active, slots=slots)


def _slots(node: Node) -> int:
    """Return what a node counts against max_parallelism.

    A dynamic one gives its slot back to what it made, which would wait for it forever.
    """
    if node.is_terminal or node.site.element >= 0 or node.inside is not None:
        return 0
    return int(node.site.kind in _SLOT_KINDS)


def _change(state: Execution, node_id: str, **fields: Any) -> Execution:
    return _put(state, replace(state.nodes[node_id], **fields))


def _node_resolving(state: Execution, event: ne.NodeResolving) -> Execution:
    return _put(state, Node(site=event.site, phase=NodePhase.NOT_YET_STARTED))


def _node_queued(state: Execution, event: ne.NodeQueued) -> Execution:
    node = Node(
        site=event.site,
        phase=NodePhase.QUEUED,
        inputs=event.inputs,
        input_path=event.input_path,
    )
    return _put(state, node)


def _node_started(state: Execution, event: ne.NodeStarted) -> Execution:
    return _change(state, event.node_id, phase=NodePhase.RUNNING)


def _branch_decided(state: Execution, event: ne.BranchDecided) -> Execution:
    return _change(state, event.node_id, chosen=event.chosen)


def _child_requested(state: Execution, event: ne.ChildRequested) -> Execution:
    return _change(state, event.node_id, child=event.child.text())


def _child_created(state: Execution, event: ne.ChildCreated) -> Execution:
    return _change(state, event.node_id, child_exists=True)


def _node_succeeding(state: Execution, event: ne.NodeSucceeding) -> Execution:
    return _change(state, event.node_id, phase=NodePhase.SUCCEEDING)


def _node_succeeded(state: Execution, event: ne.NodeSucceeded) -> Execution:
    return _change(
        state,
        event.node_id,
        phase=NodePhase.SUCCEEDED,
        outputs=event.outputs,
        inputs=None,
    )


def _node_failing(state: Execution, event: ne.NodeFailing) -> Execution:
    return _change(
        state, event.node_id, phase=NodePhase.FAILING, last_failure=event.failure
    )


def _node_failed(state: Execution, event: ne.NodeFailed) -> Execution:
    after = _change(state, event.node_id, phase=NodePhase.FAILED, inputs=None)
    return _with_failure(after, event.node_id, event.failure)


def _with_failure(state: Execution, node_id: str, failure: Failure) -> Execution:
    """Note the last failure of a scope; an element's is its array's matter.

    A branch that has decided fails because of another node.
    """
    node = state.nodes[node_id]
    scope = node.site.scope
    if node.site.element >= 0:
        return state
    failed_nodes = state.failed_nodes
    if not node.chosen:
        failed_nodes = failed_nodes.set(scope, node_id)
    failures = state.failures.set(scope, failure)
    return replace(state, failures=failures, failed_nodes=failed_nodes)


def _node_timing_out(state: Execution, event: ne.NodeTimingOut) -> Execution:
    return _change(
        state, event.node_id, phase=NodePhase.TIMING_OUT, last_failure=event.failure
    )


def _node_timed_out(state: Execution, event: ne.NodeTimedOut) -> Execution:
    after = _change(state, event.node_id, phase=NodePhase.TIMED_OUT, inputs=None)
    return _with_failure(after, event.node_id, event.failure)


def _node_retry_scheduled(state: Execution, event: ne.NodeRetryScheduled) -> Execution:
    node = state.nodes[event.node_id]
    return _put(
        state,
        replace(
            node,
            phase=NodePhase.RETRYABLE_FAILURE,
            last_failure=event.failure,
            system_failures=node.system_failures + (event.failure.kind == "SYSTEM"),
            wakes_at_us=event.retry_at_us,
        ),
    )


def _node_requeued(state: Execution, event: ne.NodeRequeued) -> Execution:
    if event.node_id in state.failures:
        state = replace(state, failures=state.failures.delete(event.node_id))
    return _change(
        state,
        event.node_id,
        phase=NodePhase.QUEUED,
        attempt=event.attempt,
        task=None,
        lease=Lease(),
        deadline_us=0,
        wakes_at_us=0,
        exit_code=0,
        memory_factor=event.memory_factor,
        inside=None,
        deck_uri="",
    )


def _node_skipped(state: Execution, event: ne.NodeSkipped) -> Execution:
    return _put(state, Node(site=event.site, phase=NodePhase.SKIPPED))


def _node_recovered(state: Execution, event: ne.NodeRecovered) -> Execution:
    node = Node(
        site=event.site,
        phase=NodePhase.RECOVERED,
        outputs=event.outputs,
        input_path=event.input_path,
        child=event.child.text() if event.child else "",
    )
    return _put(state, node)


def _node_aborted(state: Execution, event: ne.NodeAborted) -> Execution:
    return _change(state, event.node_id, phase=NodePhase.ABORTED, inputs=None)


def _task_queued(state: Execution, event: ne.TaskQueued) -> Execution:
    return _change(
        state,
        event.node_id,
        task=TaskPhase.QUEUED,
        expires_at_us=event.expires_at_us,
        start_by_us=event.start_by_us,
    )


def _task_started(state: Execution, event: ne.TaskStarted) -> Execution:
    lease = Lease(
        dispatch_no=event.dispatch_no,
        runner=event.runner,
        incarnation=event.incarnation,
    )
    expires_at_us = state.nodes[event.node_id].expires_at_us
    if event.deadline_us and not expires_at_us:
        expires_at_us = 2 * event.deadline_us - event.occurred_at_us
    return _change(
        state,
        event.node_id,
        task=TaskPhase.RUNNING,
        lease=lease,
        deadline_us=event.deadline_us,
        expires_at_us=expires_at_us,
        start_by_us=0,
    )


def _task_redispatched(state: Execution, event: ne.TaskRedispatched) -> Execution:
    return _change(state, event.node_id, lease=Lease(dispatch_no=event.dispatch_no))


def _lookup_requested(state: Execution, event: ne.CacheLookupRequested) -> Execution:
    node = Node(
        site=event.site,
        phase=NodePhase.NOT_YET_STARTED,
        inputs=event.inputs,
        input_path=event.input_path,
    )
    return _put(state, node)


def _cache_looked_up(state: Execution, event: ne.CacheLookedUp) -> Execution:
    return _change(
        state,
        event.node_id,
        catalog=None if event.status == "HIT" else event.key,
        awaits_outputs=event.reservation == "EXISTS",
    )


def _cached(
    state: Execution, event: ne.CachePopulated | ne.CachePutFailed
) -> Execution:
    return _change(state, event.node_id, catalog=None)


def _task_succeeded(state: Execution, event: ne.TaskSucceeded) -> Execution:
    node_id, deck = event.node_id, event.deck_uri
    return _change(state, node_id, task=TaskPhase.SUCCEEDED, deck_uri=deck)


def _task(phase: TaskPhase) -> Callable[[Execution, Any], Execution]:
    def apply(state: Execution, event: Any) -> Execution:
        return _change(state, event.node_id, task=phase)

    return apply


def _task_failed(state: Execution, event: ne.TaskFailed) -> Execution:
    code = event.exit_code
    return _change(state, event.node_id, task=TaskPhase.FAILED, exit_code=code)


def _array_started(state: Execution, event: ne.ArrayStarted) -> Execution:
    array = Array(size=event.size)
    return _change(state, event.node_id, task=TaskPhase.QUEUED, array=array)


def _array_gathering(state: Execution, event: ne.ArrayGathering) -> Execution:
    array = state.nodes[event.node_id].array
    assert array is not None  # noqa: S101 - it was started
    gathering = replace(array, is_gathering=True)
    return _change(state, event.node_id, array=gathering)


def _signal_requested(state: Execution, event: e.SignalRequested) -> Execution:
    signal = Signal(type=event.type)
    return replace(state, signals=state.signals.set(event.signal_id, signal))


def _signal_set(state: Execution, event: e.SignalSet) -> Execution:
    signal = replace(state.signals[event.signal_id], value=event.value)
    return replace(state, signals=state.signals.set(event.signal_id, signal))


def _gate_sleeping(state: Execution, event: ne.GateSleeping) -> Execution:
    return _change(state, event.node_id, wakes_at_us=event.wakes_at_us)


def _node_time_limited(state: Execution, event: ne.NodeTimeLimited) -> Execution:
    return _change(state, event.node_id, deadline_us=event.deadline_us)


def _parked(state: Execution, event: e.StreamParked) -> Execution:
    return replace(state, parked=event)


def _resumed(state: Execution, _event: e.StreamResumed) -> Execution:
    return replace(state, parked=None)


def _deleted(state: Execution, _event: e.ExecutionDeleted) -> Execution:
    return replace(state, is_deleted=True)


def _node_expanded(state: Execution, event: ne.NodeExpanded) -> Execution:
    return _change(
        state, event.node_id, phase=NodePhase.DYNAMIC_RUNNING, inside=event.inside
    )


APPLY: dict[type, Callable[[Execution, Any], Execution]] = {
    e.ExecutionCreated: _created,
    e.ExecutionStarted: _phase(ExecutionPhase.RUNNING),
    e.ExecutionSucceeding: _phase(ExecutionPhase.SUCCEEDING),
    e.ExecutionSucceeded: _succeeded,
    e.ExecutionFailing: _failing,
    e.ExecutionFailed: _failed,
    e.ExecutionAborting: _phase(ExecutionPhase.ABORTING),
    e.ExecutionAborted: _phase(ExecutionPhase.ABORTED),
    e.ExecutionTimedOut: _timed_out,
    ne.NodeResolving: _node_resolving,
    ne.NodeQueued: _node_queued,
    ne.NodeStarted: _node_started,
    ne.BranchDecided: _branch_decided,
    ne.ChildRequested: _child_requested,
    ne.ChildCreated: _child_created,
    ne.NodeSucceeding: _node_succeeding,
    ne.NodeSucceeded: _node_succeeded,
    ne.NodeFailing: _node_failing,
    ne.NodeFailed: _node_failed,
    ne.NodeTimingOut: _node_timing_out,
    ne.NodeTimedOut: _node_timed_out,
    ne.NodeRetryScheduled: _node_retry_scheduled,
    ne.NodeRequeued: _node_requeued,
    ne.NodeSkipped: _node_skipped,
    ne.NodeAborted: _node_aborted,
    ne.TaskQueued: _task_queued,
    ne.TaskStarted: _task_started,
    ne.TaskRedispatched: _task_redispatched,
    ne.TaskSucceeded: _task_succeeded,
    ne.TaskFailed: _task_failed,
    ne.TaskAborted: _task(TaskPhase.ABORTED),
    ne.CacheLookupRequested: _lookup_requested,
    ne.CacheLookedUp: _cache_looked_up,
    ne.CachePopulated: _cached,
    ne.CachePutFailed: _cached,
    ne.ArrayStarted: _array_started,
    ne.ArrayGathering: _array_gathering,
    e.SignalRequested: _signal_requested,
    e.SignalSet: _signal_set,
    ne.GateSleeping: _gate_sleeping,
    ne.NodeTimeLimited: _node_time_limited,
    e.ExecutionTimeLimited: _time_limited,
    e.StreamParked: _parked,
    e.StreamResumed: _resumed,
    ne.NodeRecovered: _node_recovered,
    e.ExecutionDeleted: _deleted,
    ne.NodeExpanded: _node_expanded,
}
