"""The folded states of live streams: restored on demand, kept while they live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from domain.execution.state.evolve import evolve
from domain.execution.state.frontier import Frontier, advance, rebuild
from domain.execution.state.saved_nodes import NOTHING_SAVED, Recovery
from domain.execution.state.state import Execution
from domain.graph import Definition
from infra.eventlog.contract import Log, Received
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.commands import ReportTaskExpanded
from schemas.messages.snapshots import StreamClosed
from schemas.phases import ExecutionPhase
from schemas.wire import codec
from workers.propeller.loading.recovery_source import (
    ENDINGS,
    Definitions,
    load_recovery_source,
    with_dynamic_workflows,
)
from workers.propeller.loading.stream_endings import (
    ClosedStreamIndex,
    closed,
    closed_execution,
)

_FORGET_MAX = 5_000
"""Endings that are forgotten at once."""

DYNAMIC_CLOSURE_ENDS = (
    ne.NodeSucceeded,
    ne.NodeFailed,
    ne.NodeTimedOut,
    ne.NodeAborted,
    ne.NodeRetryScheduled,
)
"""Events after which what a dynamic node's task made isn't needed any more."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream as folded so far; `sequence` is its last event's, 0 for none."""

    state: Execution = field(default_factory=Execution)
    frontier: Frontier = field(default_factory=Frontier)
    definition: Definition | None = None
    sequence: int = 0
    correlation: str = ""
    last_us: int = 0
    recovery: Recovery = NOTHING_SAVED

    def after(self, event: e.ExecutionEvent) -> StreamState:
        """Return the stream with one more event."""
        state = evolve(self.state, event)
        frontier, definition = self.frontier, self.definition
        if definition is not None:
            frontier, _ = advance(frontier, definition, state, event)
            if isinstance(event, DYNAMIC_CLOSURE_ENDS):
                definition = definition.without_dynamic_closure(event.node_id)
        return replace(
            self,
            state=state,
            frontier=frontier,
            definition=definition,
            sequence=self.sequence + 1,
            last_us=max(self.last_us, event.occurred_at_us),
        )

    def with_dynamic_closure(
        self, report: ReportTaskExpanded, inside: Definition
    ) -> StreamState:
        """Return the stream with what a task of it made at hand, unless it's late."""
        node = self.state.nodes.get(report.node_id)
        if self.definition is None or node is None or node.inside is not None:
            return self
        if node.attempt != report.attempt:
            return self
        definition = self.definition.with_dynamic_closure(report.node_id, inside)
        return replace(self, definition=definition)


def folded(live: StreamState, received: Received) -> StreamState:
    """Return a stream with one more record of its own, without graph and frontier."""
    event = codec.decode(received.body)
    return StreamState(
        state=evolve(live.state, event),
        sequence=received.envelope.sequence,
        correlation=received.envelope.correlation,
        last_us=max(live.last_us, event.occurred_at_us),
    )


class StreamCache:
    """The states of the streams of one owned partition."""

    def __init__(
        self,
        log: Log,
        definitions: Definitions,
        closed_max: int,
        endings: ClosedStreamIndex | None = None,
    ) -> None:
        """Remember about `closed_max` ended streams; live ones have no bound.

        Older endings are looked up in `endings`, or else on the log.
        """
        self._log = log
        self._definitions = definitions
        self._live: dict[str, StreamState] = {}
        self._closed: dict[str, StreamClosed] = {}
        self._closed_max = closed_max
        self._endings = endings
        self._is_complete = False
        self._has_forgotten = False
        self._unread: set[str] = set()

    def __len__(self) -> int:
        """Return how many streams live."""
        return len(self._live)

    async def get(self, stream: str) -> StreamState:
        """Return a stream's state; a stream without events has sequence 0."""
        live = self._live.get(stream)
        if live is None:
            live = await self._not_live(stream)
        elif live.definition is not None:
            return live
        live = await self._with_graph(live)
        if live.sequence:
            self.put(stream, live)
        return live

    async def _not_live(self, stream: str) -> StreamState:
        ending = self._closed.get(stream)
        is_read = stream in self._unread or not self._is_complete
        if ending is None and not is_read:
            if not self._has_forgotten:
                return StreamState()
            if self._endings is not None:
                ending = (await self._endings.of((stream,))).get(stream)
                return ended(stream, ending)
        if ending is None:
            return await self._restore(stream)
        return ended(stream, ending)

    def mark_complete(self, unread: Iterable[str] = (), *, but_forgotten: bool) -> None:
        """Take streams that aren't in memory for new: all were put, but for these.

        Endings that are forgotten must be looked up.
        """
        self._is_complete = True
        self._has_forgotten = but_forgotten
        self._unread |= set(unread)

    def known(self, stream: str) -> StreamState | None:
        """Return a live stream's state if it is in memory."""
        return self._live.get(stream)

    @property
    def live(self) -> Mapping[str, StreamState]:
        """Return the live streams in memory."""
        return self._live

    @property
    def parked(self) -> int:
        """Return how many live streams are parked."""
        return sum(live.state.parked is not None for live in self._live.values())

    def put(self, stream: str, live: StreamState) -> None:
        """Keep a stream's state; of an ended one only how it ended."""
        if not live.state.is_terminal:
            self._live[stream] = live
        elif live.sequence:
            self.put_ended(stream, closed(live.state, live.sequence))

    def put_ended(self, stream: str, ending: StreamClosed) -> None:
        """Keep how a stream ended."""
        self._live.pop(stream, None)
        self._closed[stream] = ending

    def ending(self, stream: str) -> StreamClosed | None:
        """Return how a stream ended, if that is remembered."""
        return self._closed.get(stream)

    async def forgettable(self) -> Sequence[str]:
        """Return the oldest endings beyond the limit that others know, too."""
        over = len(self._closed) - self._closed_max
        oldest = list(islice(self._closed, min(max(over, 0), _FORGET_MAX)))
        if self._endings is None or not oldest:
            return oldest
        known = await self._endings.of(oldest)
        return [
            stream
            for stream in oldest
            if stream in known
            and known[stream].last_sequence == self._closed[stream].last_sequence
        ]

    def forget(self, streams: Iterable[str]) -> None:
        """Remember these endings no longer."""
        for stream in streams:
            self._has_forgotten = True
            self._closed.pop(stream, None)

    async def _restore(self, stream: str) -> StreamState:
        last = await self._log.last_event(stream)
        if last is None:
            return StreamState()
        closing = codec.decode(last.body)
        is_deleted = isinstance(closing, e.ExecutionDeleted)
        phase = ENDINGS.get(type(closing))
        if isinstance(closing, e.ExecutionDeleted):
            phase = ExecutionPhase(closing.phase)
        if phase is not None:
            first = codec.decode((await self._log.stream(stream, limit=1))[0].body)
            state = Execution(created=first, phase=phase, is_deleted=is_deleted)
            return StreamState(state=state, sequence=last.envelope.sequence)
        live = StreamState()
        for received in await self._log.stream(stream):
            live = folded(live, received)
        return live

    async def _with_graph(self, live: StreamState) -> StreamState:
        """Return a stream that has begun with what its next events need."""
        if live.state.created is None or live.state.is_terminal:
            return live
        definition = await self._definitions.load(live.state.created.definition)
        recovery = NOTHING_SAVED
        if live.state.created.recovers is not None:
            recovery = (
                await load_recovery_source(self._log, live.state.created.recovers)
            ).recovery
            definition = await with_dynamic_workflows(
                definition, recovery, self._definitions
            )
        for node_id in live.state.active:
            closure = live.state.nodes[node_id].inside
            if closure is not None:
                inside = await self._definitions.load(closure)
                definition = definition.with_dynamic_closure(node_id, inside)
        frontier = rebuild(definition, live.state)
        return replace(
            live, definition=definition, frontier=frontier, recovery=recovery
        )


def ended(stream: str, ending: StreamClosed | None) -> StreamState:
    """Return what is remembered of an ended stream; nothing of one without an end."""
    if ending is None:
        return StreamState()
    state = closed_execution(stream, ending)
    return StreamState(state=state, sequence=ending.last_sequence)
