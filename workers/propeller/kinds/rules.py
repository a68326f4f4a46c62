"""Rules of a kind of stream: timers, leases, snapshots, closing, audit; all pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from domain.snapshots import Chunk, ChunkLimits
from schemas.messages.execution_events import StreamParked
from schemas.messages.node_events import Event
from schemas.messages.snapshots import StreamClosed


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


E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=FoldedState)


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

    `pending` are all timers of a state; `after` are at least those that an event set,
    by a state after it. A timer is due as long after the event that sets it as it says:
    it must stay the same one while it is pending.
    """

    after: Callable[[E, S], Sequence[Timer]]
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

    `events` are those that may be a stream's last, `late` those of them that may follow
    once it has ended; `state` is an ended stream's by its first event and its last.
    """

    events: frozenset[type[E]]
    late: frozenset[type[E]]
    state: Callable[[E, E], S]
    summary: Callable[[S, int], StreamClosed]
    from_summary: Callable[[str, StreamClosed], S]


class Link(NamedTuple):
    """The parent or a child of a stream, by its id."""

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
