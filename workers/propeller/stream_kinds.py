"""The kinds of streams that an engine runs, by the prefixes of their streams' ids.

`projections.views.apply` is the other half: how their events change read models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from infra.eventlog.contract import Received
from schemas.messages.node_events import Event
from schemas.wire import codec
from schemas.wire.codec import Codec
from workers.propeller.kinds.contract import AnyKind, AnyStream, StreamKind
from workers.propeller.kinds.executions import EXECUTIONS


class UnknownStreamKindError(ValueError):
    """A stream's id has the prefix of no kind."""


class StreamKinds:
    """Finds the kind of a stream; `messages` encodes and decodes what streams hold."""

    def __init__(
        self,
        *kinds: StreamKind[Any, Any, Any, Any],  # each has types of its own
        messages: Codec = codec.ENGINE,
    ) -> None:
        """Take the kinds, of different prefixes."""
        self.messages = messages
        self._kinds: dict[str, AnyKind] = {kind.prefix: kind for kind in kinds}

    def __iter__(self) -> Iterator[AnyKind]:
        """Return the kinds."""
        return iter(self._kinds.values())

    @property
    def prefixes(self) -> Iterable[str]:
        """Return the prefixes of all kinds."""
        return self._kinds.keys()

    def find(self, stream: str) -> AnyKind | None:
        """Return the kind of a stream; None if it is of none."""
        prefix, slash, _ = stream.partition("/")
        return self._kinds.get(prefix) if slash else None

    def of(self, stream: str) -> AnyKind:
        """Return the kind of a stream; raises UnknownStreamKindError."""
        kind = self.find(stream)
        if kind is None:
            message = f"Expected a stream of a known kind ({self.names()})"
            raise UnknownStreamKindError(f"{message}, but it is '{stream}'")
        return kind

    def names(self) -> str:
        """Return the prefixes in one line, for messages."""
        return ", ".join(f"{prefix}/…" for prefix in self.prefixes)

    def folded(self, before: AnyStream, received: Received) -> AnyStream:
        """Return a stream with one more event of its own, as read from the log."""
        event = self.messages.decode_as(received.body, Event)
        return before.kind.folded(before, event, received.envelope)

    def with_loaders(
        self,
        loaders: Mapping[str, Any],  # each belongs to the kind of its prefix
    ) -> StreamKinds:
        """Return the same kinds with what reads from outside; raises KeyError."""
        found = {
            prefix: replace(self._kinds[prefix], loader=loader)
            for prefix, loader in loaders.items()
        }
        return StreamKinds(*(self._kinds | found).values(), messages=self.messages)


STREAM_KINDS = StreamKinds(EXECUTIONS)
"""The kinds of the engine, without loaders: enough to read logs."""
