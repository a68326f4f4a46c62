"""A batch: one transaction in the making, and what is put aside in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from infra.eventlog.contract import Received, Record
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.rejections import Reason, Rejected
from schemas.wire import codec
from workers.propeller import records as outbox
from workers.propeller.loading.stream_cache import StreamState

_ERROR_MAX = 2000


@dataclass(slots=True)
class Batch:
    """What one transaction appends, and the states it leads to."""

    records: list[Record] = field(default_factory=list)
    states: dict[str, StreamState] = field(default_factory=dict)
    events: list[tuple[str, e.ExecutionEvent]] = field(default_factory=list)
    position: int | None = None
    dead_letters: int = 0

    def count(self, topic: str) -> int:
        """Return how many records it appends to a topic."""
        return sum(record.topic == topic for record in self.records)

    def put_aside(
        self,
        received: Received,
        error: str,
        refused: Rejected,
        now_us: int,
        *,
        whole: bool = True,
    ) -> None:
        """Keep a command with the dead letters, and tell its sender."""
        self.dead_letters += 1
        self.records.extend(
            outbox.dead_letter(received, error, now_us, refused, whole=whole)
        )

    def fail(
        self,
        item: Received | InternalCommand,
        live: StreamState | None,
        error: Exception,
        now_us: int,
        *,
        whole: bool = True,
    ) -> None:
        """Park the stream of what can't be handled, and keep the message.

        A stream without events, or one that has ended, has nothing to park.
        """
        if live is not None and live.sequence and not live.state.is_terminal:
            self._park(item.envelope, live, error, max(now_us, live.last_us))
        if isinstance(item, Received):
            detail = f"Expected to handle the command, but: {error!r}"
            refused = Rejected(Reason.INTERNAL, detail)
            self.put_aside(item, repr(error), refused, now_us, whole=whole)

    def _park(
        self, envelope: Envelope, live: StreamState, error: Exception, now_us: int
    ) -> None:
        parked = e.StreamParked(
            occurred_at_us=now_us,
            command_id=envelope.id,
            command_type=envelope.type,
            error=repr(error)[:_ERROR_MAX],
        )
        live = live.after(parked)
        cause = replace(envelope, recorded_at_us=now_us, reply=False)
        self.records.append(
            outbox.event_record(parked, cause, live.sequence, live.correlation)
        )
        self.states[envelope.stream] = live
        self.events.append((envelope.stream, parked))


@dataclass(frozen=True, slots=True)
class InternalCommand:
    """A wish that the loop gives to a stream by itself."""

    command: c.ExpireLease | c.TimeReached
    envelope: Envelope


def internal_command(
    stream: str, command: c.ExpireLease | c.TimeReached, key: str
) -> InternalCommand:
    """Return a wish of the loop's own; its id is the key."""
    envelope = Envelope(id=key, type=codec.type_name(command), stream=stream)
    return InternalCommand(command, envelope)
