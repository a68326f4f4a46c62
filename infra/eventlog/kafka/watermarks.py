"""Where partitions begin and end on the broker, and reads that can't get to the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.clock import SYSTEM_CLOCK
from infra.errors import PermanentError, TransientError
from infra.eventlog.kafka.clients import call, close_client, end_offsets, new_consumer
from infra.setting_sections.storage import KafkaSettings

log_ = structlog.get_logger(__name__)

_WORD_S = 1.0
"""A transaction takes milliseconds: who waits for longer says so."""


class Watermarks:
    """Asks for the high watermark: the end of a partition, whatever is committed.

    A reader of committed messages is told another end: that before the first open
    transaction. What others have committed after it would be missing without a word.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        """Prepare; `open` connects."""
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        """Connect, if it isn't; raises TransientError."""
        if self._consumer is not None:
            return
        consumer = new_consumer(self._settings, isolation_level="read_uncommitted")
        try:
            await call(consumer.start())
        except TransientError:
            await close_client(consumer)
            raise
        self._consumer = consumer

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await close_client(consumer)

    @property
    def consumer(self) -> AIOKafkaConsumer:
        """Return the consumer that asks; it reads nothing."""
        if self._consumer is None:
            raise PermanentError("Expected an open log, but it is closed")
        return self._consumer

    async def high(
        self, partitions: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return the offset after the last message of each partition, open or not."""
        return await end_offsets(self.consumer, partitions) if partitions else {}


@dataclass(slots=True)
class TransactionWaits:
    """Reads that wait for open transactions of others; `waiting` counts them now."""

    timeout_s: float
    waiting: int = 0

    @contextmanager
    def reading(self, ends: Mapping[TopicPartition, int]) -> Iterator[TransactionWait]:
        """Watch a read up to these ends."""
        wait = TransactionWait(self, ends)
        try:
            yield wait
        finally:
            wait.end()


@dataclass(slots=True)
class TransactionWait:
    """How long one read has come no further; it never reads through a transaction."""

    waits: TransactionWaits
    ends: Mapping[TopicPartition, int]
    _positions: Mapping[TopicPartition, int] = field(default_factory=dict)
    _since_s: float = 0.0
    _is_told: bool = False

    def check(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far the read is; raises TransientError once it stood too long."""
        now_s = SYSTEM_CLOCK.monotonic()
        if positions != self._positions:
            self.end()
            self._positions, self._since_s = positions, now_s
            return
        waited_s = now_s - self._since_s
        if waited_s < _WORD_S:
            return
        at, position = next(iter(positions.items()))
        if not self._is_told:
            self._is_told = True
            self.waits.waiting += 1
            log_.warning(
                "open_transaction_waited_for",
                topic=at.topic,
                partition=at.partition,
                position=position,
                end=self.ends[at],
            )
        if waited_s >= self.waits.timeout_s:
            message = (
                f"Expected to read {at.topic}/{at.partition} up to {self.ends[at]}, "
                f"but nothing after {position} is committed within {waited_s:.0f} s: "
                "another process has a transaction open there, or no broker answers"
            )
            raise TransientError(message)

    def end(self) -> None:
        """Wait no more."""
        if self._is_told:
            self._is_told = False
            self.waits.waiting -= 1
