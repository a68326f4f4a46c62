"""The folded states of a partition's streams: restored on demand, kept while active."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from msgspec.structs import replace

from infra.eventlog.contract import Log
from schemas.messages.node_events import Event
from schemas.messages.snapshots import StreamClosed
from workers.propeller.kinds.contract import AnyStream
from workers.propeller.stream_kinds import StreamKinds

_EVICT_MAX = 5_000
"""Closed streams that are evicted at once."""


def is_to_be_loaded(found: AnyStream) -> bool:
    """Return whether something that decisions on a stream need isn't loaded."""
    if found.loaded.is_complete or not found.sequence:
        return False
    return not found.state.is_terminal and found.state.parked is None


class StreamCache:
    """The states of the streams of one owned partition."""

    def __init__(self, log: Log, kinds: StreamKinds, closed_max: int) -> None:
        """Keep about `closed_max` closed streams; active ones have no bound.

        Those that were evicted are looked up by their kind's loader, or on the log.
        """
        self._log = log
        self.kinds = kinds
        self._active: dict[str, AnyStream] = {}
        self._closed: dict[str, StreamClosed] = {}
        self._closed_max = closed_max
        self._is_complete = False
        self._has_evicted = False
        self._unread: set[str] = set()

    def __len__(self) -> int:
        """Return how many streams are active."""
        return len(self._active)

    async def get(self, stream: str) -> AnyStream:
        """Return a stream's state, with what decisions on it need.

        A stream without events has sequence 0. Nothing is loaded for a parked one: its
        resumption needs nothing. Raises UnknownStreamKindError.
        """
        found = self._active.get(stream)
        if found is None:
            found = await self._not_active(stream)
            if found.sequence:
                self.put(stream, found)  # what can't be loaded can be parked
        if is_to_be_loaded(found):
            found = await self.with_loaded(found)
            self.put(stream, found)
        return found

    async def with_loaded(self, found: AnyStream) -> AnyStream:
        """Return an active stream with what decisions on it need."""
        return replace(found, loaded=await found.kind.loader.load(found))

    async def _not_active(self, stream: str) -> AnyStream:
        kind = self.kinds.of(stream)
        closed = self._closed.get(stream)
        if closed is None:
            if stream in self._unread or not self._is_complete:
                return await self._from_log(stream)
            if self._has_evicted:
                index = kind.loader.closed
                if index is None:
                    return await self._from_log(stream)
                closed = (await index.of((stream,))).get(stream)
        return kind.begin() if closed is None else kind.ended(stream, closed)

    def mark_complete(self, unread: Iterable[str] = (), *, but_evicted: bool) -> None:
        """Take streams that aren't in memory for new: all were put, except `unread`.

        With `but_evicted` some closed ones weren't, and must be looked up.
        """
        self._is_complete = True
        self._has_evicted = but_evicted
        self._unread |= set(unread)

    def known(self, stream: str) -> AnyStream | None:
        """Return an active stream's state if it is in memory."""
        return self._active.get(stream)

    @property
    def active(self) -> Mapping[str, AnyStream]:
        """Return the active streams in memory."""
        return self._active

    @property
    def parked(self) -> int:
        """Return how many active streams are parked."""
        return sum(s.state.parked is not None for s in self._active.values())

    def put(self, stream: str, found: AnyStream) -> None:
        """Store a stream's state; of an ended one only how it ended."""
        if not found.state.is_terminal:
            self._active[stream] = found
        elif found.sequence:
            closed = found.kind.closing.summary(found.state, found.sequence)
            self.put_closed(stream, closed)

    def put_closed(self, stream: str, closed: StreamClosed) -> None:
        """Store how a stream ended."""
        self._active.pop(stream, None)
        self._closed[stream] = closed

    def closed(self, stream: str) -> StreamClosed | None:
        """Return how a stream ended, if that is in memory."""
        return self._closed.get(stream)

    async def evictable(self) -> Sequence[str]:
        """Return the oldest closed streams beyond the limit that others know, too.

        Raises TransientError while it can't be found out whether they do.
        """
        over = len(self._closed) - self._closed_max
        oldest = list(islice(self._closed, min(max(over, 0), _EVICT_MAX)))
        found: list[str] = []
        for kind in self.kinds:
            streams = [s for s in oldest if self.kinds.of(s) is kind]
            index = kind.loader.closed
            if index is not None and streams:
                known = await index.of(streams)
                streams = [s for s in streams if self._is_known(s, known.get(s))]
            found += streams
        return found

    def _is_known(self, stream: str, known: StreamClosed | None) -> bool:
        """Return whether an index is as far as this cache."""
        mine = self._closed[stream]
        return known is not None and known.last_sequence == mine.last_sequence

    def evict(self, streams: Iterable[str]) -> None:
        """Drop closed streams from memory."""
        for stream in streams:
            self._has_evicted = True
            self._closed.pop(stream, None)

    async def event(self, stream: str, sequence: int) -> Event | None:
        """Return an event of a stream, which may be another partition's."""
        for received in await self._log.stream(stream, after=sequence - 1, limit=1):
            if received.envelope.sequence == sequence:
                return self.kinds.messages.decode_as(received.body, Event)
        return None

    async def _from_log(self, stream: str) -> AnyStream:
        """Fold a stream's events; of an ended one only its first and last are read."""
        kind, decode = self.kinds.of(stream), self.kinds.messages.decode_as
        found = kind.begin()
        last = await self._log.last_event(stream)
        if last is None:
            return found
        closing = decode(last.body, Event)
        if type(closing) in kind.closing.events:
            first = decode((await self._log.stream(stream, limit=1))[0].body, Event)
            state = kind.closing.state(first, closing)
            return replace(found, state=state, sequence=last.envelope.sequence)
        for received in await self._log.stream(stream):
            found = self.kinds.folded(found, received)
        return found
