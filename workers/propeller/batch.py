"""A batch: what one transaction appends, and the states that it leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.eventlog.contract import Record
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages.node_events import Event
from schemas.wire import codec
from workers.propeller.kinds.contract import AnyStream
from workers.propeller.kinds.rules import Timer
from workers.propeller.timers import Moment


@dataclass(slots=True)
class Batch:
    """Records to append with a position, and what to fold once they are appended.

    `timers` are those that streams have after a command, with the moment of it.
    Dead letters have the bytes of their messages, unless those can't be stored again.
    """

    records: list[Record] = field(default_factory=list)
    states: dict[str, AnyStream] = field(default_factory=dict)
    events: list[tuple[str, Event]] = field(default_factory=list)
    timers: list[tuple[str, Sequence[Timer], Moment]] = field(default_factory=list)
    position: int | None = None
    dead_letters: int = 0
    copies_bodies: bool = True
    _measured: int = 0
    _size: int = 0

    def is_full(self, records_max: int, bytes_max: int) -> bool:
        """Return whether it has so many records, or bytes of them."""
        fresh = self.records[self._measured :]
        self._measured += len(fresh)
        self._size += sum(len(record.body) for record in fresh)
        return self._measured >= records_max or self._size >= bytes_max

    def count(self, topic: str) -> int:
        """Return how many records it appends to a topic."""
        return sum(record.topic == topic for record in self.records)


@dataclass(frozen=True, slots=True)
class InternalCommand:
    """A command that the propeller itself gives to a stream, maybe for a timer."""

    command: c.ExpireLease | c.TimeReached
    envelope: Envelope
    timer: Timer | None = None


def internal_command(
    stream: str,
    command: c.ExpireLease | c.TimeReached,
    command_id: str,
    timer: Timer | None = None,
) -> InternalCommand:
    """Return a command of the propeller's own."""
    envelope = Envelope(id=command_id, type=codec.type_name(command), stream=stream)
    return InternalCommand(command, envelope, timer)
