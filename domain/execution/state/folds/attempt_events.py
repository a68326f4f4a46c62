"""How events of task attempts and arrays change the state: a function for each."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.folds.node_updates import put_node
from domain.execution.state.node import (
    Array,
    Lease,
    Node,
    TaskAttempt,
    TimeLimits,
)
from domain.execution.state.state import Execution
from schemas.messages import node_events as ne
from schemas.phases import TaskPhase

_QUEUED = TaskAttempt()


def queued(state: Execution, event: ne.TaskQueued) -> Execution:
    """Dispatch the attempt for the first time."""
    node, task = state.nodes[event.node_id], _QUEUED
    if event.start_by_us:
        task = TaskAttempt(start_by_us=event.start_by_us)
    expires_at_us = event.expires_at_us or None
    if expires_at_us == node.limits.expires_at_us:
        return put_node(state, replace(node, task=task))
    limits = replace(node.limits, expires_at_us=expires_at_us)
    return put_node(state, replace(node, task=task, limits=limits))


def started(state: Execution, event: ne.TaskStarted) -> Execution:
    """Give the lease to a runner; an array's attempt has none.

    A node may be active for twice as long as its first attempt may run (ref §4.6); the
    time that a lost runner took isn't counted.
    """
    node, lease = state.nodes[event.node_id], None
    if event.runner:
        lease = Lease(runner=event.runner, incarnation=event.incarnation)
    task = TaskAttempt(
        phase=TaskPhase.RUNNING, dispatch_no=event.dispatch_no, lease=lease
    )
    limits = node.limits
    if event.deadline_us:
        expires_at_us = event.expires_at_us or limits.expires_at_us
        if expires_at_us is None:
            expires_at_us = 2 * event.deadline_us - event.occurred_at_us
        limits = TimeLimits(deadline_us=event.deadline_us, expires_at_us=expires_at_us)
    elif limits.deadline_us is not None:
        limits = replace(limits, deadline_us=None)
    return put_node(state, replace(node, task=task, limits=limits))


def redispatched(state: Execution, event: ne.TaskRedispatched) -> Execution:
    """Dispatch the attempt again: the lease of the runner that had it ends."""
    node = state.nodes[event.node_id]
    task = replace(_task(node), dispatch_no=event.dispatch_no, lease=None)
    return put_node(state, replace(node, task=task))


def succeeded(state: Execution, event: ne.TaskSucceeded) -> Execution:
    """Change the phase of the attempt to SUCCEEDED, and set its deck."""
    node, phase = state.nodes[event.node_id], TaskPhase.SUCCEEDED
    task = replace(_task(node), phase=phase, deck_uri=event.deck_uri)
    return put_node(state, replace(node, task=task))


def failed(state: Execution, event: ne.TaskFailed) -> Execution:
    """Change the phase of the attempt to FAILED, and set its exit code."""
    node, exit_code = state.nodes[event.node_id], event.exit_code or None
    task = replace(_task(node), phase=TaskPhase.FAILED, exit_code=exit_code)
    return put_node(state, replace(node, task=task))


def aborted(state: Execution, event: ne.TaskAborted) -> Execution:
    """Change the phase of the attempt to ABORTED."""
    node = state.nodes[event.node_id]
    task = replace(_task(node), phase=TaskPhase.ABORTED)
    return put_node(state, replace(node, task=task))


def array_started(state: Execution, event: ne.ArrayStarted) -> Execution:
    """Begin to count the elements of an array."""
    node, array = state.nodes[event.node_id], Array(size=event.size)
    return put_node(state, replace(node, task=_QUEUED, array=array))


def array_gathering(state: Execution, event: ne.ArrayGathering) -> Execution:
    """Note that a runner gathers the array's outputs."""
    node = state.nodes[event.node_id]
    assert node.array is not None  # noqa: S101 - it was started
    return put_node(state, replace(node, array=replace(node.array, is_gathering=True)))


def _task(node: Node) -> TaskAttempt:
    """Return the attempt in force; events come only after it was dispatched."""
    return node.task or _QUEUED
