"""Beginning somewhere: the executions that were created from a place on the log on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.eventlog.contract import Received


@dataclass(slots=True)
class ReplayStart:
    """Keeps what is about executions created after positions, and from a time on.

    The others' first events lie before: of them nothing can be folded.
    """

    positions: Mapping[int, int]
    at_us: int = 0
    streams: set[str] = field(default_factory=set)

    def keep(self, page: Sequence[Received]) -> Sequence[Received]:
        """Return the events of a page that count."""
        return [received for received in page if self._counts(received)]

    def _counts(self, received: Received) -> bool:
        envelope = received.envelope
        if envelope.sequence == 1 and envelope.recorded_at_us >= self.at_us:
            self.streams.add(envelope.stream)
        return envelope.sequence > 0 and envelope.stream in self.streams
