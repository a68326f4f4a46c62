"""The folded states of live streams: restored on demand, kept while they live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from msgspec import structs

from domain.execution.evolve import evolve
from domain.execution.frontier import Frontier, advance, rebuild
from domain.execution.recovery import NOTHING_SAVED, Recovery
from domain.execution.state import Execution
from domain.graph import Definition
from infra.log import Log, Received
from schemas import codec
from schemas import events as e
from schemas.phases import ExecutionPhase
from schemas.values import NO_VALUES
from workers.recalling import ENDINGS, Definitions, recall, with_made


@dataclass(frozen=True, slots=True)
class Live:
    """One stream as folded so far; `sequence` is its last fact's, 0 for none.

    A closed stream keeps no more of its state than who created it and how it ended.
    """

    state: Execution = field(default_factory=Execution)
    frontier: Frontier = field(default_factory=Frontier)
    definition: Definition | None = None
    sequence: int = 0
    correlation: str = ""
    last_us: int = 0
    recovery: Recovery = NOTHING_SAVED

    def after(self, event: e.ExecutionEvent) -> Live:
        """Return the stream with one more fact."""
        state = evolve(self.state, event)
        frontier = self.frontier
        if self.definition is not None:
            frontier, _ = advance(frontier, self.definition, state, event)
        return replace(
            self,
            state=state,
            frontier=frontier,
            sequence=self.sequence + 1,
            last_us=max(self.last_us, event.occurred_at_us),
        )

    def with_inside(self, node_id: str, inside: Definition) -> Live:
        """Return the stream with what a dynamic node of it made at hand."""
        if self.definition is None:
            return self
        return replace(self, definition=self.definition.with_inside(node_id, inside))

    def closed(self) -> Live:
        """Return what is remembered of a stream that has ended."""
        created = self.state.created
        if created is not None:
            created = structs.replace(
                created, spec=b"", inputs=NO_VALUES, user_inputs=NO_VALUES
            )
        state = Execution(
            created=created, phase=self.state.phase, is_deleted=self.state.is_deleted
        )
        return replace(
            self,
            state=state,
            frontier=Frontier(),
            definition=None,
            recovery=NOTHING_SAVED,
        )


def folded(live: Live, received: Received) -> Live:
    """Return a stream with one more record of its own, without graph and frontier."""
    event = codec.decode(received.body)
    return Live(
        state=evolve(live.state, event),
        sequence=received.envelope.sequence,
        correlation=received.envelope.correlation,
        last_us=max(live.last_us, event.occurred_at_us),
    )


class Streams:
    """The states of the streams of one owned partition."""

    def __init__(self, log: Log, definitions: Definitions, closed_max: int) -> None:
        """Remember up to `closed_max` ended streams; live ones have no bound."""
        self._log = log
        self._definitions = definitions
        self._live: dict[str, Live] = {}
        self._closed: OrderedDict[str, Live] = OrderedDict()
        self._closed_max = closed_max
        self._is_complete = False
        self._unread: set[int] = set()

    def __len__(self) -> int:
        """Return how many streams live."""
        return len(self._live)

    async def get(self, stream: str) -> Live:
        """Return a stream's state; a stream without facts has sequence 0."""
        live = self._live.get(stream) or self._closed.get(stream)
        if live is None and self._is_complete and hash(stream) not in self._unread:
            return Live()
        if live is None:
            live = await self._restore(stream)
        elif live.definition is not None or live.state.is_terminal:
            return live
        live = await self._with_graph(live)
        if live.sequence:
            self.put(stream, live)
        return live

    def know_all(self, unread: Iterable[str] = ()) -> None:
        """Take streams that aren't in memory for new: all were put, but for these.

        An ended stream that memory lets go of is read from the log again.
        """
        self._is_complete = True
        self._unread |= {hash(stream) for stream in unread}

    def known(self, stream: str) -> Live | None:
        """Return a live stream's state if it is in memory."""
        return self._live.get(stream)

    @property
    def parked(self) -> int:
        """Return how many live streams are parked."""
        return sum(live.state.parked is not None for live in self._live.values())

    def put(self, stream: str, live: Live) -> None:
        """Keep a stream's state; of an ended one only the marker."""
        if not live.state.is_terminal:
            self._live[stream] = live
            return
        self._live.pop(stream, None)
        self._closed[stream] = live.closed()
        while len(self._closed) > self._closed_max:
            forgotten, _ = self._closed.popitem(last=False)
            self._unread.add(hash(forgotten))

    async def _restore(self, stream: str) -> Live:
        last = await self._log.last(stream)
        if last is None:
            return Live()
        closing = codec.decode(last.body)
        is_deleted = isinstance(closing, e.ExecutionDeleted)
        ending = ENDINGS.get(type(closing))
        if isinstance(closing, e.ExecutionDeleted):
            ending = ExecutionPhase(closing.phase)
        if ending is not None:
            closed = Execution(phase=ending, is_deleted=is_deleted)
            return await self._restore_closed(stream, last.envelope.sequence, closed)
        live = Live()
        for received in await self._log.stream(stream):
            live = folded(live, received)
        return live

    async def _with_graph(self, live: Live) -> Live:
        """Return a stream that has begun with what its next facts need."""
        if live.state.created is None or live.state.is_terminal:
            return live
        definition = await self._definitions.load(live.state.created.definition)
        recovery = NOTHING_SAVED
        if live.state.created.recovers is not None:
            recovery = (await recall(self._log, live.state.created.recovers)).recovery
            definition = await with_made(definition, recovery, self._definitions)
        for node_id, node in live.state.nodes.items():
            if node.inside is not None:
                inside = await self._definitions.load(node.inside)
                definition = definition.with_inside(node_id, inside)
        frontier = rebuild(definition, live.state)
        return replace(
            live, definition=definition, frontier=frontier, recovery=recovery
        )

    async def _restore_closed(
        self, stream: str, sequence: int, closed: Execution
    ) -> Live:
        first = (await self._log.stream(stream, limit=1))[0]
        created = codec.decode(first.body)
        return Live(
            state=structs.replace(closed, created=created),
            sequence=sequence,
            correlation=first.envelope.correlation,
            last_us=created.occurred_at_us,
        )
