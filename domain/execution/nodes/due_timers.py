"""Due timers: what happens when the time of each kind has come."""

from __future__ import annotations

from collections.abc import Callable

from domain.execution.decision import Decision
from domain.execution.nodes import attempt, gate, time_limits
from domain.execution.outcomes.completion import time_out_node
from domain.execution.outcomes.limits import attempt_timeout_us, queueing_budget_us
from domain.execution.state.node import Node
from domain.execution.state.timers import (
    EXECUTION,
    TimerKind,
    attempt_of,
    due_times,
    read_timer,
)
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.values import ErrorKind, Failure


def time_reached(decision: Decision, command: c.TimeReached) -> None:
    """Do what a timer is for; one of the past, or of another attempt, does nothing.

    What else seems due by the time of day isn't done: that may have been set forward,
    and the owner of the partition counts how long each timer runs.
    """
    timer = read_timer(command.timer_id)
    if timer is None or timer.due_us > decision.now_us:
        return
    if timer.node_id == EXECUTION:
        time_limits.end_execution(decision, timer.due_us)
        return
    node = decision.state.nodes.get(timer.node_id)
    if node is None:
        return
    for kind, due_us in due_times(node):
        if due_us == timer.due_us and attempt_of(kind, node) == timer.attempt:
            _DUE[kind](decision, node)
            return


def _expire(decision: Decision, node: Node) -> None:
    """Time a node out that was active for too long (ref §4.6)."""
    limit_s = 2 * _attempt_timeout_s(decision, node)
    message = f"node active for longer than [{limit_s:g}s]"
    time_out_node(decision, node.site.node_id, message)


def _end_queueing(decision: Decision, node: Node) -> None:
    """Time a node out whose attempt no runner has begun."""
    budget_s = (queueing_budget_us(decision) or 0) / 1_000_000
    message = f"no runner began the task within its queueing budget [{budget_s:g}s]"
    time_out_node(decision, node.site.node_id, message)


def _end_attempt(decision: Decision, node: Node) -> None:
    """End an attempt that has run for too long; the node may be tried again."""
    limit_s, node_id = _attempt_timeout_s(decision, node), node.site.node_id
    message = f"task execution timeout [{limit_s:g}s] expired"
    failure = Failure(code="TimeoutExpired", message=message, kind=ErrorKind.USER)
    if node.task is not None and node.task.is_open:
        decision.emit(
            ne.TaskAborted(
                occurred_at_us=decision.now_us,
                node_id=node_id,
                attempt=node.attempt,
                failure=failure,
            )
        )
    attempt.retry_or_fail(decision, node_id, failure, recoverable=True)


def _attempt_timeout_s(decision: Decision, node: Node) -> float:
    return (attempt_timeout_us(decision, node.site) or 0) / 1_000_000


_DUE: dict[TimerKind, Callable[[Decision, Node], None]] = {
    TimerKind.RETRY: attempt.begin_next,
    TimerKind.EXPIRY: _expire,
    TimerKind.QUEUEING: _end_queueing,
    TimerKind.ATTEMPT_DEADLINE: _end_attempt,
    TimerKind.NODE_DEADLINE: time_limits.end_node,
    TimerKind.SLEEP: gate.end_sleep,
}
"""What happens for each kind, when it is due."""
