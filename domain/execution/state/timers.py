"""Timers: when an execution wants to be woken, read off its state."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from domain.execution.state.state import Execution, Node
from schemas.phases import TERMINAL_TASK, NodePhase


class Timer(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A wake-up for one attempt of a node."""

    node_id: str
    attempt: int
    due_us: int

    @property
    def id(self) -> str:
        """Return the id that a TimeReached bears."""
        return f"{self.node_id}/{self.attempt}/{self.due_us}"


def read_timer(timer_id: str) -> Timer | None:
    """Return the timer of an id; None if it is none."""
    parts = timer_id.rsplit("/", 2)
    if len(parts) != len(Timer.__struct_fields__) or not (
        parts[1].isdigit() and parts[2].isdigit()
    ):
        return None
    return Timer(node_id=parts[0], attempt=int(parts[1]), due_us=int(parts[2]))


def timer_of(node: Node) -> Timer | None:
    """Return a node's next timer; None if it has none."""
    due = [at for at in _times(node) if at]
    if not due:
        return None
    return Timer(node_id=node.site.node_id, attempt=node.attempt, due_us=min(due))


def _times(node: Node) -> tuple[int, ...]:
    if node.is_terminal or node.phase is NodePhase.FAILING:
        return ()
    if node.phase is NodePhase.RETRYABLE_FAILURE:
        return (node.wakes_at_us,)
    if node.inside is not None:
        return (node.deadline_us, node.expires_at_us)
    if node.task in TERMINAL_TASK:
        return ()
    limits = (node.deadline_us, node.expires_at_us, node.start_by_us)
    return (*limits, node.wakes_at_us)


def execution_timer(state: Execution) -> Timer | None:
    """Return when the execution must have ended; it is a timer of no node."""
    if not state.deadline_us or state.is_terminal:
        return None
    return Timer(node_id="", attempt=0, due_us=state.deadline_us)


def timers_of(state: Execution) -> Iterator[Timer]:
    """Return every timer of an execution: for a restored one."""
    own = execution_timer(state)
    if own is not None:
        yield own
    for node_id in state.active:
        timer = timer_of(state.nodes[node_id])
        if timer is not None:
            yield timer
