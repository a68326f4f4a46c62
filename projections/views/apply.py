"""What each message of the events topic changes in the read models; pure.

The kinds of streams are found by the prefixes of their streams' ids. The other half of
a kind, what runs its streams, is in the workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from projections import rows
from projections.rows import JournalRow, Outcome
from projections.views import (
    catalog,
    deletions,
    executions,
    journal,
    nodes,
    signals,
    tasks,
)
from projections.views.changes import ApplyAny, Changes, time_of
from schemas.envelope import Envelope
from schemas.messages.node_events import Event
from schemas.messages.outcomes import CommandHadNoEffect, CommandRejected
from schemas.phases import TERMINAL_EXECUTION
from schemas.wire import codec
from schemas.wire.codec import Codec

E = TypeVar("E", bound=Event)

APPLY: dict[type, ApplyAny] = {
    **executions.APPLY,
    **nodes.APPLY,
    **tasks.APPLY,
    **catalog.APPLY,
    **signals.APPLY,
    **deletions.APPLY,
}
"""What each event of an execution changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamProjection(Generic[E]):
    """How the events of a kind of stream change read models.

    `apply` is what each class of event changes; `subject` and `summary` are its line in
    the journal. `tables` are those that follow from these events alone. The first one
    has a row for each stream, with its `stream` and `phase`. `unpartitioned` are those
    of which no row belongs to one stream.
    """

    prefix: str
    apply: Mapping[type, ApplyAny]
    subject: Callable[[E], str]
    summary: Callable[[E], str]
    tables: tuple[str, ...]
    unpartitioned: frozenset[str] = frozenset()
    terminal_phases: frozenset[str]

    @property
    def root(self) -> str:
        """Return the table with a row for each stream."""
        return self.tables[0]


EXECUTIONS: StreamProjection[Event] = StreamProjection(
    prefix="execution",
    apply=APPLY,
    subject=journal.subject,
    summary=journal.summary,
    tables=tuple(
        table.name
        for table in (
            rows.EXECUTIONS,
            rows.TAGS,
            rows.NODES,
            rows.TASKS,
            rows.CATALOG,
            rows.CACHE_USES,
            rows.SIGNALS,
            rows.DELETIONS,
        )
    ),
    unpartitioned=frozenset((rows.CATALOG.name,)),
    terminal_phases=frozenset(phase.value for phase in TERMINAL_EXECUTION),
)


class StreamProjections:
    """Applies messages by the kinds of their streams; `messages` decodes them."""

    def __init__(
        self,
        *projections: StreamProjection[Any],  # each has types of its own
        messages: Codec = codec.ENGINE,
    ) -> None:
        """Take the projections of kinds with different prefixes."""
        self.messages = messages
        self._by_prefix: dict[str, StreamProjection[Event]] = {
            projection.prefix: projection for projection in projections
        }

    def __iter__(self) -> Iterator[StreamProjection[Event]]:
        """Return the projections."""
        return iter(self._by_prefix.values())

    @property
    def prefixes(self) -> Iterable[str]:
        """Return the prefixes of all kinds."""
        return self._by_prefix.keys()

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the tables that follow from events alone: a rebuild fills them."""
        return (*(t for kind in self for t in kind.tables), rows.JOURNAL.name)

    @property
    def unpartitioned(self) -> frozenset[str]:
        """Return the tables whose rows don't belong to one stream each."""
        return frozenset(t for kind in self for t in kind.unpartitioned)

    def of(self, stream: str) -> StreamProjection[Event]:
        """Return how a stream's events are projected; KeyError for an unknown one."""
        return self._by_prefix[stream.partition("/")[0]]

    def apply(
        self, changes: Changes, envelope: Envelope, message: msgspec.Struct
    ) -> None:
        """Add what a message changes; KeyError for one that is no event of a stream."""
        self.apply_outcome(changes, envelope, message)
        if isinstance(message, Event):
            self._apply_event(changes, envelope, message)
        elif not isinstance(message, CommandRejected | CommandHadNoEffect):
            raise KeyError(type(message).__name__)

    def apply_outcome(
        self, changes: Changes, envelope: Envelope, message: msgspec.Struct
    ) -> None:
        """Add only what a message says about the command that led to it, if it does."""
        match message:
            case Event() if envelope.reply:
                outcome = Outcome(
                    command_id=envelope.causation, kind="done", event_id=envelope.id
                )
            case Event():
                return
            case CommandRejected():
                outcome = Outcome(
                    command_id=message.command_id,
                    kind="rejected",
                    reason=message.reason,
                    detail=message.detail,
                )
            case CommandHadNoEffect():
                outcome = Outcome(command_id=message.command_id, kind="no_effect")
            case _:
                return
        changes.end_command(outcome)

    def _apply_event(self, changes: Changes, envelope: Envelope, event: Event) -> None:
        at = time_of(event.occurred_at_us)
        projection = self.of(envelope.stream)
        projection.apply[type(event)](changes, envelope, event, at)
        line = JournalRow(
            stream=envelope.stream,
            sequence=envelope.sequence,
            type=type(event).__name__,
            occurred_at=at,
            subject=projection.subject(event),
            summary=projection.summary(event),
        )
        changes.journal.append(line)


STREAM_PROJECTIONS = StreamProjections(EXECUTIONS)
"""The projections of the engine's kinds of streams."""
