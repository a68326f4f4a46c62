"""Replay from a position on: the executions that were created after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.eventlog.contract import Positions, Received


@dataclass(slots=True)
class ReplayStart:
    """Selects the events of executions created after positions, and from a time on.

    The first events of other executions are before them, so that these can't be folded.
    """

    positions: Positions
    at_us: int = 0
    streams: set[str] = field(default_factory=set)

    def select(self, page: Sequence[Received]) -> Sequence[Received]:
        """Return the events of a page that are selected."""
        return [received for received in page if self._is_selected(received)]

    def _is_selected(self, received: Received) -> bool:
        envelope = received.envelope
        if envelope.sequence == 1 and envelope.recorded_at_us >= self.at_us:
            self.streams.add(envelope.stream)
        return envelope.sequence > 0 and envelope.stream in self.streams
