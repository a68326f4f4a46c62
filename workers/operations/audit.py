"""The audit: reads a log's events in order, and finds what no log may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.execution.state.evolve import evolve
from domain.execution.state.state import Execution
from infra.eventlog.contract import Received
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.phases import (
    EXECUTION_MOVES,
    NODE_MOVES,
    TERMINAL_EXECUTION,
    ExecutionPhase,
    NodePhase,
)
from schemas.wire import codec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and where: the event's id, or a stream."""

    at: str
    what: str


class _Stream(msgspec.Struct):
    """What is known of one stream; of an ended one no state is kept."""

    sequence: int = 0
    phase: ExecutionPhase = ExecutionPhase.UNDEFINED
    state: Execution | None = Execution()
    parent: str = ""
    is_deleted: bool = False
    children: set[str] = msgspec.field(default_factory=set)


class Audit:
    """Checks sequences, legal moves of phases, endings, and parents with children."""

    def __init__(self) -> None:
        """Begin before the first event."""
        self.events = 0
        self._streams: dict[str, _Stream] = {}

    @property
    def executions(self) -> int:
        """Return how many streams there are."""
        return len(self._streams)

    def take(self, received: Received) -> Iterator[Finding]:
        """Check one message of the events topic; yield what is wrong with it."""
        envelope = received.envelope
        if not envelope.sequence:
            return
        self.events += 1
        stream = self._streams.setdefault(envelope.stream, _Stream())
        expected = stream.sequence + 1
        if envelope.sequence != expected:
            found = f"Expected sequence {expected}, but it is {envelope.sequence}"
            yield Finding(at=envelope.id, what=found)
        stream.sequence = envelope.sequence
        try:
            event = codec.decode(received.body)
        except codec.UndecodableMessageError as error:
            yield Finding(at=envelope.id, what=str(error))
            return
        if stream.state is None and _is_late_deletion(event, stream):
            stream.is_deleted = True
        elif stream.state is None:
            name = type(event).__name__
            found = f"Expected nothing after {stream.phase}, but {name} follows"
            yield Finding(at=envelope.id, what=found)
        else:
            yield from self._fold(stream, event, envelope.id)

    def _fold(self, stream: _Stream, event: Any, at: str) -> Iterator[Finding]:
        before = stream.state
        assert before is not None  # noqa: S101 - asked before
        try:
            after = evolve(before, event)
        except KeyError as error:
            name = type(event).__name__
            found = (
                f"Expected an event that follows, but {name} names an unknown {error}"
            )
            yield Finding(at=at, what=found)
            return
        moves = EXECUTION_MOVES[before.phase]
        if after.phase is not before.phase and after.phase not in moves:
            found = f"Expected no move of the execution {before.phase} → {after.phase}"
            yield Finding(at=at, what=f"{found}, but there is one")
        yield from _node_moves(before, after, event, at)
        stream.state, stream.phase = after, after.phase
        if isinstance(event, e.ExecutionCreated) and event.parent is not None:
            stream.parent = event.parent.stream
        if isinstance(event, ne.ChildCreated):
            stream.children.add(f"execution/{event.child.text()}")
        if after.phase in TERMINAL_EXECUTION:
            yield from self._ended(after, at)
            stream.state = None

    def _ended(self, state: Execution, at: str) -> Iterator[Finding]:
        for node_id in sorted(state.active):
            phase = state.nodes[node_id].phase
            found = f"Expected every node to have ended, but {node_id} is {phase}"
            yield Finding(at=at, what=found)

    def end(self) -> Iterator[Finding]:
        """Yield what is wrong between streams, once all events were taken."""
        for name, stream in self._streams.items():
            for child in sorted(stream.children):
                known = self._streams.get(child)
                if known is None:
                    found = f"Expected the child {child}, but it has no events"
                    yield Finding(at=name, what=found)
                elif known.parent != name:
                    found = f"Expected to be the parent of {child}, but that is "
                    yield Finding(at=name, what=found + (known.parent or "nobody"))
                elif stream.state is None and known.state is not None:
                    found = f"Expected {child} to have ended with it, but it is "
                    yield Finding(at=name, what=f"{found}{known.phase}")

    def phases(self) -> dict[str, str]:
        """Return each stream's phase, as the log tells it."""
        return {name: stream.phase.value for name, stream in self._streams.items()}

    def contradicts(self, stream: str, shown: str) -> bool:
        """Tell whether a view shows an ending that the log doesn't have."""
        phase = self._streams[stream].phase
        return shown != phase.value and ExecutionPhase(shown) in TERMINAL_EXECUTION


def _is_late_deletion(event: Any, stream: _Stream) -> bool:
    """Tell whether an event after the ending is the one that may follow it, once."""
    return isinstance(event, e.ExecutionDeleted) and not stream.is_deleted


def _node_moves(
    before: Execution, after: Execution, event: Any, at: str
) -> Iterator[Finding]:
    site = getattr(event, "site", None)
    node_id = site.node_id if site is not None else getattr(event, "node_id", "")
    if node_id not in after.nodes:
        return
    new = after.nodes[node_id].phase
    old = NodePhase.NOT_YET_STARTED
    if node_id in before.nodes:
        old = before.nodes[node_id].phase
    if new is not old and new not in NODE_MOVES[old]:
        found = f"Expected no move of {node_id} {old} → {new}, but there is one"
        yield Finding(at=at, what=found)
