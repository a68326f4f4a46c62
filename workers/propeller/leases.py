"""Leases: which runner holds which attempt, and which runners have gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from domain.execution.state.state import Execution
from schemas.messages import node_events as ne
from schemas.messages.commands import ExpireLease, Heartbeat
from schemas.phases import TaskPhase

Attempt = tuple[str, str, int]
"""A stream, a node's id and an attempt."""


@dataclass(frozen=True, slots=True)
class Held:
    """One lease in force."""

    runner: str
    incarnation: str
    dispatch_no: int


@dataclass(slots=True)
class Leases:
    """An index over the states of live streams; never stored, rebuilt by folding."""

    silence_us: int
    held: dict[Attempt, Held] = field(default_factory=dict)
    runners: dict[str, tuple[str, int]] = field(default_factory=dict)

    def fold(self, stream: str, event: object) -> None:
        """Follow one event of a stream."""
        match event:
            case ne.TaskStarted() if event.runner:
                key = (stream, event.node_id, event.attempt)
                self.held[key] = Held(
                    event.runner, event.incarnation, event.dispatch_no
                )
            case (
                ne.TaskSucceeded()
                | ne.TaskFailed()
                | ne.TaskAborted()
                | ne.TaskRedispatched()
            ):
                self.held.pop((stream, event.node_id, event.attempt), None)
            case _:
                pass

    def restore(self, stream: str, state: Execution, now_us: int) -> None:
        """Take up the leases of a restored stream; their runners may be gone by now.

        Which incarnation of a runner lives isn't known before it is heard. An array's
        own attempt, which no runner has, is left alone.
        """
        for node_id in state.active:
            node = state.nodes[node_id]
            if node.task is TaskPhase.RUNNING and node.lease.runner:
                self.held[(stream, node_id, node.attempt)] = Held(
                    node.lease.runner, node.lease.incarnation, node.lease.dispatch_no
                )
                self.runners.setdefault(node.lease.runner, ("", now_us))

    def heard(self, heartbeat: Heartbeat, now_us: int) -> bool:
        """Note that a runner lives; tell whether it is a new incarnation."""
        known = self.runners.get(heartbeat.runner)
        self.runners[heartbeat.runner] = (heartbeat.incarnation, now_us)
        return known is None or known[0] != heartbeat.incarnation

    def expired(self, now_us: int) -> Sequence[tuple[str, ExpireLease]]:
        """Return the streams and commands that take lost attempts away."""
        return list(self._expired(now_us))

    def _expired(self, now_us: int) -> Iterator[tuple[str, ExpireLease]]:
        for (stream, node_id, attempt), held in self.held.items():
            reason = self._lost(held, now_us)
            if reason:
                yield (
                    stream,
                    ExpireLease(
                        node_id=node_id,
                        attempt=attempt,
                        dispatch_no=held.dispatch_no,
                        reason=reason,
                    ),
                )

    def _lost(self, held: Held, now_us: int) -> str:
        known = self.runners.get(held.runner)
        if known is None:
            return ""
        incarnation, heard_us = known
        if incarnation not in {"", held.incarnation}:
            return f"runner '{held.runner}' was started anew"
        if now_us - heard_us > self.silence_us:
            return f"runner '{held.runner}' fell silent"
        return ""
