"""What a kind of stream is: the functions by which its streams are run and read.

All of it is pure, but for the loader, which reads from outside what commands need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import msgspec

from domain.decider import Decider, Outgoing
from domain.snapshots import Chunk, ChunkLimits
from schemas.envelope import Envelope
from schemas.json_types import JsonObject
from schemas.messages.commands import Command, ExpireLease, TimeReached
from schemas.messages.execution_events import StreamParked
from schemas.messages.node_events import Event
from schemas.messages.rejections import Rejected
from schemas.messages.snapshots import StreamClosed, StreamHead

INTERNAL_COMMANDS: frozenset[type[Command]] = frozenset((TimeReached, ExpireLease))
"""Commands that the propeller itself gives to streams; nobody may send them."""


class FoldedState(Protocol):
    """What the state of every stream says, of whichever kind."""

    @property
    def is_terminal(self) -> bool:
        """Return whether the stream has ended."""
        ...

    @property
    def parked(self) -> StreamParked | None:
        """Return why the stream takes no commands; None if it does."""
        ...


class DecisionContext(Protocol):
    """What a decision is given beside command and state."""

    @property
    def now_us(self) -> int:
        """Return the time of the decision."""
        ...


class CommandMetadata(msgspec.Struct, frozen=True):
    """A command's stream and id, and the time at which it is decided.

    A kind whose decisions need nothing else takes it for their context.
    """

    stream: str
    command_id: str
    now_us: int


C = TypeVar("C", bound=Command)
E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=FoldedState)
X = TypeVar("X", bound=DecisionContext)
_E_contra = TypeVar("_E_contra", bound=Event, contravariant=True)
_S_contra = TypeVar("_S_contra", bound=FoldedState, contravariant=True)
_X_co = TypeVar("_X_co", bound=DecisionContext, covariant=True)


class Loaded(Protocol[_E_contra, _S_contra, _X_co]):
    """What decisions on one stream need beside its state; in memory, never stored."""

    @property
    def is_complete(self) -> bool:
        """Return whether the loader has nothing to add."""
        ...

    def after(self, event: _E_contra, state: _S_contra) -> Self:
        """Return it as of one more event; `state` is the state after that."""
        ...

    def context(self, metadata: CommandMetadata) -> _X_co:
        """Return the context of a decision."""
        ...


class StreamState(msgspec.Struct, Generic[C, E, S, X], frozen=True, kw_only=True):
    """One stream as folded so far; `sequence` is its last event's, 0 without any."""

    kind: StreamKind[C, E, S, X]
    state: S
    loaded: Loaded[E, S, X]
    sequence: int = 0
    correlation: str = ""
    last_us: int = 0

    def after(self, event: E) -> StreamState[C, E, S, X]:
        """Return the stream with one more event."""
        state = self.kind.decider.evolve(self.state, event)
        return StreamState(
            kind=self.kind,
            state=state,
            loaded=self.loaded.after(event, state),
            sequence=self.sequence + 1,
            correlation=self.correlation,
            last_us=max(self.last_us, event.occurred_at_us),
        )


class ClosedStreamIndex(Protocol):
    """Where it is known how streams ended that are no longer in memory."""

    async def of(self, streams: Sequence[str]) -> Mapping[str, StreamClosed]:
        """Return how those of these streams ended that it knows to have ended."""
        ...


class StreamLoader(Protocol[C, E, S, X]):
    """Reads from outside what a kind's commands need.

    `commands` are those that need something; `closed` knows how streams of the kind
    ended, None if only the log does.
    """

    @property
    def commands(self) -> frozenset[type[C]]:
        """Return the commands for which `prepare` is called."""
        ...

    @property
    def closed(self) -> ClosedStreamIndex | None:
        """Return where the endings of streams are looked up."""
        ...

    async def load(self, stream: StreamState[C, E, S, X]) -> Loaded[E, S, X]:
        """Return what decisions on a stream need that has begun and not ended."""
        ...

    async def prepare(
        self,
        command: C,
        envelope: Envelope,
        stream: StreamState[C, E, S, X],
        metadata: CommandMetadata,
    ) -> tuple[StreamState[C, E, S, X], X]:
        """Return the stream and the context that a command is decided with.

        Raises TransientError while what it needs can't be reached.
        """
        ...


class NothingToLoad(Generic[C, E, S, X]):
    """The loader of a kind whose commands need nothing from outside."""

    commands: frozenset[type[C]] = frozenset()
    closed: ClosedStreamIndex | None = None

    async def load(self, stream: StreamState[C, E, S, X]) -> Loaded[E, S, X]:
        """Return what the stream has."""
        return stream.loaded

    async def prepare(
        self,
        command: C,
        envelope: Envelope,
        stream: StreamState[C, E, S, X],
        metadata: CommandMetadata,
    ) -> tuple[StreamState[C, E, S, X], X]:
        """Return the stream as it is."""
        del command, envelope
        return stream, stream.loaded.context(metadata)


class Timer(NamedTuple):
    """A time at which a stream is given `TimeReached`, with the timer's id."""

    due_us: int
    id: str


class Lease(NamedTuple):
    """A runner's hold on an attempt; released where `runner` is None."""

    node_id: str
    attempt: int
    dispatch_no: int = 0
    runner: str | None = None
    incarnation: str = ""


@dataclass(frozen=True, slots=True)
class LeaseRules(Generic[E, S]):
    """Which runners hold attempts of a stream.

    `change` is the lease that an event grants or releases; `held` are those in force.
    """

    change: Callable[[E], Lease | None]
    held: Callable[[S], Iterable[Lease]]


@dataclass(frozen=True, slots=True)
class TimerRules(Generic[E, S]):
    """When a stream must be woken.

    `after` is the timer that an event sets, by the state after it; `pending` are all
    timers of a state.
    """

    after: Callable[[E, S], Timer | None]
    pending: Callable[[S], Iterable[Timer]]


class Layout(Protocol):
    """What was written of a stream: for each chunk, the sequence of its last write."""

    @property
    def written(self) -> tuple[int, ...]:
        """Return the sequence at which each chunk was written last."""
        ...


L = TypeVar("L", bound=Layout)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFormat(Generic[S, L]):
    """How states are written: a head, and chunks of which only changed ones are.

    `name` changes with the bytes and with what events fold to; `decode` raises
    TornSnapshotError for a head and chunks that aren't one state.
    """

    name: Callable[[], str]
    empty: L
    encode_chunks: Callable[[L, S, int, ChunkLimits], tuple[L, Sequence[Chunk]]]
    encode_head: Callable[[S], bytes]
    decode: Callable[
        [bytes, Sequence[int], Mapping[int, tuple[int, bytes]]], tuple[S, L]
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingRules(Generic[E, S]):
    """What is kept of a stream that has ended.

    `events` are those that may be a stream's last, `late` those of them that may come
    once after it ended; `state` is an ended stream's by its first event and its last.
    """

    events: frozenset[type[E]]
    late: frozenset[type[E]]
    state: Callable[[E, E], S]
    summary: Callable[[S, int], StreamClosed]
    from_summary: Callable[[str, StreamClosed], S]


class Link(NamedTuple):
    """That a stream has a parent, or a child; verified once all events were read."""

    parent: str | None = None
    child: str | None = None


@dataclass(frozen=True, slots=True)
class AuditRules(Generic[E, S]):
    """What no log may hold of a kind.

    `violations` yields what is wrong with an event, by the states before and after it;
    `link` is the parent or child that an event names.
    """

    violations: Callable[[S, E, S], Iterator[str]]
    link: Callable[[E], Link | None]


class Description(NamedTuple):
    """A state as text for people: lines, then a table if it has a heading."""

    lines: Sequence[str]
    heading: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def _no_reaction(_command: Command, _rejected: Rejected) -> Sequence[Outgoing]:
    return ()


def _no_target(_command: Command) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamKind(Generic[C, E, S, X]):
    """A kind of stream: everything that differs from another kind's streams.

    `prefix` is what the ids of its streams begin with, before the first slash, and what
    people call such a stream; `id_form` has all parts of an id. `commands` are those
    that may be sent to it; `target` is the stream that a command itself names, if it
    does. `loaded` is what decisions need of a stream of which nothing was loaded.
    `phase` is a state's, for people and read models; `to_json` and `describe` are what
    people are shown of the rest.
    """

    prefix: str
    id_form: str
    commands: frozenset[type[C]]
    decider: Decider[C, E, S, X]
    loaded: Loaded[E, S, X]
    timers: TimerRules[E, S]
    leases: LeaseRules[E, S]
    snapshots: SnapshotFormat[S, Any]  # the layout is the format's own
    closing: ClosingRules[E, S]
    audit: AuditRules[E, S]
    phase: Callable[[S], str]
    terminal_phases: frozenset[str]
    to_json: Callable[[S], JsonObject]
    describe: Callable[[S], Description]
    react_to_refusal: Callable[[C, Rejected], Sequence[Outgoing]] = _no_reaction
    target: Callable[[C], str | None] = _no_target
    loader: StreamLoader[C, E, S, X] = field(default_factory=NothingToLoad)

    def is_id(self, text: str) -> bool:
        """Return whether a text has the form of a stream's id."""
        parts = text.split("/")
        return (
            parts[0] == self.prefix
            and all(parts)
            and len(parts) == len(self.id_form.split("/"))
        )

    def name_of(self, stream: str) -> str:
        """Return a stream's id without the prefix."""
        return stream.removeprefix(f"{self.prefix}/")

    def begin(self) -> StreamState[C, E, S, X]:
        """Return a stream without events."""
        return StreamState(kind=self, state=self.decider.initial, loaded=self.loaded)

    def folded(
        self, before: StreamState[C, E, S, X], event: E, envelope: Envelope
    ) -> StreamState[C, E, S, X]:
        """Return a stream with one more event as read, of which nothing is loaded."""
        return StreamState(
            kind=self,
            state=self.decider.evolve(before.state, event),
            loaded=self.loaded,
            sequence=envelope.sequence,
            correlation=envelope.correlation,
            last_us=max(before.last_us, event.occurred_at_us),
        )

    def restored(self, state: S, head: StreamHead) -> StreamState[C, E, S, X]:
        """Return a stream as its snapshot has it."""
        return StreamState(
            kind=self,
            state=state,
            loaded=self.loaded,
            sequence=head.sequence,
            correlation=head.correlation,
            last_us=head.last_us,
        )

    def ended(self, stream: str, closed: StreamClosed) -> StreamState[C, E, S, X]:
        """Return what is known of an ended stream."""
        return StreamState(
            kind=self,
            state=self.closing.from_summary(stream, closed),
            loaded=self.loaded,
            sequence=closed.last_sequence,
        )


AnyKind = StreamKind[Command, Event, FoldedState, DecisionContext]
"""A kind, whichever it is: its functions are given what belongs to it."""

AnyStream = StreamState[Command, Event, FoldedState, DecisionContext]
"""A stream of whichever kind."""
