"""The audit: reads a log's events in order, and finds what no log may hold."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from infra.eventlog.contract import Received
from schemas.messages.node_events import Event
from schemas.wire.codec import UndecodableMessageError
from workers.propeller.kinds.contract import AnyKind
from workers.propeller.kinds.rules import FoldedState
from workers.propeller.stream_kinds import StreamKinds, UnknownStreamKindError


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and where: an event's id, or a stream."""

    at: str
    what: str


class _Stream(msgspec.Struct):
    """What is known of one stream; of an ended one no state is kept.

    `late` are the classes of the events that came after it had ended.
    """

    kind: AnyKind
    state: FoldedState | None
    phase: str
    sequence: int = 0
    parent: str | None = None
    children: set[str] = msgspec.field(default_factory=set)
    late: frozenset[type[Event]] = frozenset()


class Audit:
    """Checks sequences, transitions, endings, and parents against children."""

    def __init__(self, kinds: StreamKinds) -> None:
        """Begin before the first event."""
        self.events = 0
        self._kinds = kinds
        self._streams: dict[str, _Stream] = {}

    @property
    def streams(self) -> int:
        """Return how many streams there are."""
        return len(self._streams)

    def take(self, received: Received) -> Iterator[Finding]:
        """Check one message of the events topic; yield what is wrong with it."""
        envelope = received.envelope
        if not envelope.sequence:
            return
        self.events += 1
        try:
            stream = self._stream(envelope.stream)
        except UnknownStreamKindError as error:
            yield Finding(at=envelope.id, what=str(error))
            return
        expected = stream.sequence + 1
        if envelope.sequence != expected:
            found = f"Expected sequence {expected}, but it is {envelope.sequence}"
            yield Finding(at=envelope.id, what=found)
        stream.sequence = envelope.sequence
        try:
            event = self._kinds.messages.decode_as(received.body, Event)
        except UndecodableMessageError as error:
            yield Finding(at=envelope.id, what=str(error))
            return
        for found in _checked(stream, event):
            yield Finding(at=envelope.id, what=found)

    def _stream(self, name: str) -> _Stream:
        stream = self._streams.get(name)
        if stream is None:
            kind = self._kinds.of(name)
            state = kind.decider.initial
            stream = _Stream(kind=kind, state=state, phase=kind.phase(state))
            self._streams[name] = stream
        return stream

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
        """Return each stream's phase by its events."""
        return {name: stream.phase for name, stream in self._streams.items()}

    def contradicts(self, name: str, shown: str) -> bool:
        """Return whether a read model shows an ending that the log doesn't have."""
        stream = self._streams[name]
        return shown != stream.phase and shown in stream.kind.terminal_phases


def _checked(stream: _Stream, event: Event) -> Iterator[str]:
    """Fold an event into what is known of its stream; yield what is wrong with it."""
    kind, before, name = stream.kind, stream.state, type(event).__name__
    if before is None:
        if type(event) not in kind.closing.late - stream.late:
            yield f"Expected nothing after {stream.phase}, but {name} follows"
        stream.late |= {type(event)}
        return
    try:
        after = kind.decider.evolve(before, event)
    except KeyError as error:
        yield f"Expected an event that follows, but {name} names an unknown {error}"
        return
    yield from kind.audit.violations(before, event, after)
    stream.state = None if after.is_terminal else after
    stream.phase = kind.phase(after)
    link = kind.audit.link(event)
    if link is not None and link.parent is not None:
        stream.parent = link.parent
    if link is not None and link.child is not None:
        stream.children.add(link.child)
