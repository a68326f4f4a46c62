"""What a kind of stream is: the functions by which its streams are run and read.

All of it is pure, but for the loader, which reads from outside what commands need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec

from domain.decider import Decider, Outgoing, Send
from schemas.envelope import Envelope
from schemas.json_types import JsonObject
from schemas.levels import FORMAT_LEVEL
from schemas.messages.commands import Command, ExpireLease, TimeReached
from schemas.messages.node_events import Event
from schemas.messages.rejections import Rejected
from schemas.messages.snapshots import StreamClosed, StreamHead
from workers.propeller.kinds.rules import (
    AuditRules,
    ClosingRules,
    Description,
    E,
    FoldedState,
    LeaseRules,
    S,
    SnapshotFormat,
    TimerRules,
)

INTERNAL_COMMANDS: frozenset[type[Command]] = frozenset((TimeReached, ExpireLease))
"""Commands that the propeller itself gives to streams; nobody may send them."""


class DecisionContext(Protocol):
    """What a decision is given beside command and state."""

    @property
    def now_us(self) -> int:
        """Return the time of the decision."""
        ...


class CommandMetadata(msgspec.Struct, frozen=True):
    """A command's stream and id, and the time and open level when it is decided.

    A kind whose decisions need nothing else takes it for their context.
    """

    stream: str
    command_id: str
    now_us: int
    format_level: int = FORMAT_LEVEL


C = TypeVar("C", bound=Command)
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


def _no_reaction(_command: Command, _rejected: Rejected) -> Sequence[Outgoing]:
    return ()


def _nothing_follows(
    _command: Command, _state: FoldedState, _context: DecisionContext
) -> Sequence[Outgoing]:
    return ()


def _no_answer(_command: Command, _error: str) -> Sequence[Send]:
    return ()


def _no_requests(_event: Event, _stream: str) -> Sequence[Send]:
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
    people are shown of the rest. `react_to_failure` is whom a command that can't be
    handled must be answered to, if its stream has no events. `requests` are the
    commands of an event that other streams answer, by commands of the types `answers`.
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
    react_to_rejection: Callable[[C, Rejected], Sequence[Outgoing]] = _no_reaction
    react_without_events: Callable[[C, S, X], Sequence[Outgoing]] = _nothing_follows
    react_to_failure: Callable[[C, str], Sequence[Send]] = _no_answer
    requests: Callable[[E, str], Sequence[Send]] = _no_requests
    answers: frozenset[type[C]] = frozenset()
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
        """Return a stream with its next event as read, of which nothing is loaded."""
        assert envelope.sequence == before.sequence + 1, envelope.id  # noqa: S101 - a gap
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
