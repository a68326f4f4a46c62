"""The fold of a batch of events into what is due and what is remembered; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from domain.notifying.due import ENDS, Due, Policy, SubjectKey, late_at_us, subject_keys
from domain.notifying.live_execution import LiveExecution, live_execution
from domain.notifying.notice import Delivery
from domain.notifying.subjects import Subject
from infra.eventlog.contract import Received
from schemas.messages import execution_events as e
from schemas.messages.node_events import Event, NodeRetryScheduled

_RELEVANT: tuple[type[Event], ...] = (
    e.ExecutionCreated,
    e.ExecutionStarted,
    *ENDS,
    e.ExecutionDeleted,
    e.StreamParked,
    NodeRetryScheduled,
)
_TOLD = frozenset({*ENDS, e.StreamParked})
"""Events of which something is told."""
_NAMES = frozenset(cls.__name__ for cls in _RELEVANT)


def is_relevant(received: Received) -> bool:
    """Return whether an event could lead to a notification, by its type alone."""
    return received.envelope.type.rpartition(".")[2] in _NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadEvent:
    """An event that was read and decoded."""

    received: Received
    event: Event

    @property
    def stream(self) -> str:
        """Return the stream of the event."""
        return self.received.envelope.stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A live execution after a batch: its partition, and when it is late."""

    live: LiveExecution
    partition: int
    late_at_us: int | None


@dataclass(slots=True, kw_only=True)
class BatchFold:
    """Folds a batch: `known` are the live executions that were known before it.

    An event that can't be folded costs itself: `failed` has its id and the error.
    """

    policy: Policy
    known: Mapping[str, LiveExecution]
    changed: dict[str, Changed] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    subjects: Mapping[SubjectKey, Subject] = field(default_factory=dict)
    deliveries: Sequence[Delivery] = ()
    failed: list[tuple[str, str]] = field(default_factory=list)

    def subject_keys(self, events: Iterable[ReadEvent]) -> set[SubjectKey]:
        """Return the subjects that a fold of these events needs.

        Others wait for them: what only begins needs those that know the usual time.
        """
        lives, found = dict(self.known), set[SubjectKey]()
        for read in events:
            if isinstance(read.event, e.ExecutionCreated):
                with suppress(Exception):  # it fails again when it is folded
                    lives[read.stream] = live_execution(read.event)
            live = lives.get(read.stream)
            if live is not None:
                is_told = type(read.event) in _TOLD
                found |= subject_keys(self.policy, live, with_all=is_told)
        return found

    def fold(
        self, events: Iterable[ReadEvent], subjects: Mapping[SubjectKey, Subject]
    ) -> None:
        """Fold events in order, with the subjects that `subject_keys` named."""
        due = Due(policy=self.policy, subjects=dict(subjects))
        lives = dict(self.known)
        partitions: dict[str, int] = {}
        for read in events:
            try:
                before = lives.get(read.stream)
                self._fold_one(read, due, lives)
            except Exception as error:  # noqa: BLE001 - it is told of
                self.failed.append((read.received.envelope.id, repr(error)))
                continue
            if lives.get(read.stream) is not before:
                partitions[read.stream] = read.received.partition
        self.subjects = due.changed(subjects)
        self.deliveries = due.deliveries
        self.changed = {
            stream: Changed(
                live=lives[stream],
                partition=partition,
                late_at_us=late_at_us(self.policy, lives[stream], due.subjects),
            )
            for stream, partition in partitions.items()
            if stream in lives
        }

    def _fold_one(
        self, read: ReadEvent, due: Due, lives: dict[str, LiveExecution]
    ) -> None:
        envelope, event, stream = read.received.envelope, read.event, read.stream
        if isinstance(event, e.ExecutionCreated):
            live = live_execution(event, envelope.traceparent)
            if self.policy.concerns(live):
                lives[stream] = live
            return
        before = lives.get(stream)
        if before is None:
            return
        if type(event) in ENDS or isinstance(event, e.ExecutionDeleted):
            del lives[stream]
            self.ended.add(stream)
        else:
            lives[stream] = before.after(event)
        due.take(before, event, envelope.id)

    @property
    def is_empty(self) -> bool:
        """Return whether nothing has to be written but the position."""
        return not (self.changed or self.deliveries or self.subjects) and not any(
            stream in self.known for stream in self.ended
        )
