"""Timers: when something of an execution is due, derived from its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto

import msgspec

from domain.execution.state.node import Node
from domain.execution.state.state import Execution
from schemas.phases import NodePhase
from schemas.sites import NodeKind

EXECUTION = ""
"""What stands for a node's id in the timer of the execution itself."""


class Timer(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A time at which something is due for an attempt of a node, or for all of them.

    It is the same one from when it is set until it is due: the owner of the partition
    counts from when it was set.
    """

    node_id: str
    attempt: int
    due_us: int

    @property
    def id(self) -> str:
        """Return the id that TimeReached carries."""
        return f"{self.node_id}/{self.attempt}/{self.due_us}"


class TimerKind(Enum):
    """What is due of a node."""

    RETRY = auto()
    """The pause before the next attempt is over."""
    EXPIRY = auto()
    """All attempts together have taken too long."""
    QUEUEING = auto()
    """The attempt has waited for a runner for too long."""
    ATTEMPT_DEADLINE = auto()
    """The attempt has run for too long."""
    NODE_DEADLINE = auto()
    """A node that is no task has taken too long."""
    SLEEP = auto()
    """A sleep gate is over."""


_DYNAMIC = (TimerKind.EXPIRY, TimerKind.ATTEMPT_DEADLINE)
_TASK = (TimerKind.EXPIRY, TimerKind.QUEUEING, TimerKind.ATTEMPT_DEADLINE)
_OTHER = (TimerKind.SLEEP, TimerKind.NODE_DEADLINE)
_DUE: dict[TimerKind, Callable[[Node], int | None]] = {
    TimerKind.RETRY: lambda node: node.retries.retry_at_us,
    TimerKind.EXPIRY: lambda node: _unless_lost(node, node.limits.expires_at_us),
    TimerKind.QUEUEING: lambda node: node.task.start_by_us if node.task else None,
    TimerKind.ATTEMPT_DEADLINE: lambda node: _unless_lost(
        node, node.limits.deadline_us
    ),
    TimerKind.NODE_DEADLINE: lambda node: node.limits.deadline_us,
    TimerKind.SLEEP: lambda node: node.sleeps_until_us,
}
"""When each kind is due, None for never."""


def _unless_lost(node: Node, due_us: int | None) -> int | None:
    """Return a time limit; None while the attempt has lost its runner and waits.

    That is the system's time: the next runner that starts it sets new limits.
    """
    task = node.task
    if task is not None and task.is_open and task.dispatch_no and task.lease is None:
        return None
    return due_us


def read_timer(timer_id: str) -> Timer | None:
    """Return the timer that has an id; None for text that is no timer's id."""
    parts = timer_id.rsplit("/", 2)
    if len(parts) != len(Timer.__struct_fields__) or not (
        parts[1].isdigit() and parts[2].isdigit()
    ):
        return None
    return Timer(node_id=parts[0], attempt=int(parts[1]), due_us=int(parts[2]))


def attempt_of(kind: TimerKind, node: Node) -> int:
    """Return the attempt in the timer of a kind: 0 for what holds for all of them."""
    return 0 if kind is TimerKind.EXPIRY else node.attempt


def due_times(node: Node) -> Iterator[tuple[TimerKind, int]]:
    """Yield what will be due of a node, and when; of two at once the first counts."""
    for kind in _kinds(node):
        due_us = _DUE[kind](node)
        if due_us is not None:
            yield kind, due_us


def _kinds(node: Node) -> Sequence[TimerKind]:
    """Return the kinds that a node can have in its phase."""
    if node.is_terminal or node.phase is NodePhase.FAILING:
        return ()
    if node.phase is NodePhase.RETRYABLE_FAILURE:
        return (TimerKind.RETRY,)
    if node.dynamic_closure is not None:
        return _DYNAMIC
    if node.task is not None and not node.task.is_open:
        return ()
    return _TASK if node.site.kind is NodeKind.TASK else _OTHER


def node_timers(node: Node) -> Sequence[Timer]:
    """Return every timer of a node."""
    return [
        Timer(node_id=node.site.node_id, attempt=attempt_of(kind, node), due_us=due_us)
        for kind, due_us in due_times(node)
    ]


def execution_timer(state: Execution) -> Timer | None:
    """Return the timer of the execution's own deadline; None if it has none."""
    if state.deadline_us is None or state.is_terminal:
        return None
    return Timer(node_id=EXECUTION, attempt=0, due_us=state.deadline_us)


def timers_of(state: Execution) -> Iterator[Timer]:
    """Yield every timer of an execution: for a restored one."""
    own = execution_timer(state)
    if own is not None:
        yield own
    for node_id in state.active:
        yield from node_timers(state.nodes[node_id])
