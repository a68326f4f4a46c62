"""A batch: what one transaction appends, and the states that it leads to."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.eventlog.contract import Record
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages.node_events import Event
from schemas.wire import codec
from workers.propeller.kinds.contract import AnyStream


@dataclass(slots=True)
class Batch:
    """Records to append with a position, and what to fold once they are appended."""

    records: list[Record] = field(default_factory=list)
    states: dict[str, AnyStream] = field(default_factory=dict)
    events: list[tuple[str, Event]] = field(default_factory=list)
    position: int | None = None
    dead_letters: int = 0

    def count(self, topic: str) -> int:
        """Return how many records it appends to a topic."""
        return sum(record.topic == topic for record in self.records)


@dataclass(frozen=True, slots=True)
class InternalCommand:
    """A command that the propeller itself gives to a stream."""

    command: c.ExpireLease | c.TimeReached
    envelope: Envelope


def internal_command(
    stream: str, command: c.ExpireLease | c.TimeReached, command_id: str
) -> InternalCommand:
    """Return a command of the propeller's own."""
    envelope = Envelope(id=command_id, type=codec.type_name(command), stream=stream)
    return InternalCommand(command, envelope)
