"""An owned partition on Kafka: a fenced producer and a reader, discarded together.

The order in `open` is what makes it exactly-once (aiokafka lacks KIP-447). Starting the
producer fences the previous owner and ends its open transaction; only then is the
committed offset final, and reading begins there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
)
from aiokafka.structs import RecordMetadata

from infra.errors import (
    FencedError,
    PermanentError,
    PositionLostError,
    TransientError,
)
from infra.eventlog.contract import Received, Record
from infra.eventlog.kafka.clients import (
    call,
    close_client,
    committed_offsets,
    end_offsets,
    fetch,
    new_consumer,
    new_producer,
    partition_for_key,
    partition_for_record,
    retrieve_error,
    too_large,
    unreachable,
)
from infra.eventlog.kafka.records import sendable
from infra.eventlog.kafka.stored_positions import extent_of, start_position
from infra.setting_sections.storage import KafkaSettings
from schemas import topics

log_ = structlog.get_logger(__name__)

_FENCED = (ProducerFenced, InvalidProducerEpoch, IllegalOperation, AssertionError)
"""What aiokafka raises once a new owner took over, or a producer is unusable."""


class KafkaPartition:
    """A partition of commands that this process owns, from fencing to loss."""

    def __init__(
        self, settings: KafkaSettings, group: str, at: TopicPartition, poll_s: float
    ) -> None:
        """Prepare; `open` fences the previous owner."""
        self.number: int = at.partition
        self._settings = settings
        self._group = group
        self._at = at
        self._poll_ms = round(poll_s * 1000)
        transactional_id = f"{settings.prefix}{group}/{at.topic}/{at.partition}"
        self._producer: AIOKafkaProducer = new_producer(settings, transactional_id)
        self._reader: AIOKafkaConsumer = new_consumer(settings, skips_deleted=False)
        self._is_fenced = False
        self.lost: PositionLostError | None = None

    async def open(self) -> None:
        """Fence, then read from the committed offset.

        A new group commits where it begins. Where reading can't go on, `lost` says
        why. Raises TransientError.
        """
        await call(self._producer.start())
        offsets = await committed_offsets(self._settings, self._group, (self._at,))
        await call(self._reader.start())
        stored = offsets.get(self.number)
        extent = await extent_of(self._reader, self._at, stored)
        if stored is None and await self._was_owned():
            extent = extent._replace(is_new=False)
        try:
            position = start_position(self._at, stored, extent)
        except PositionLostError as error:
            self.lost = error
            return
        if stored is None:
            await self.commit((), position)
        self._reader.assign([self._at])
        self._reader.seek(self._at, position)

    async def _was_owned(self) -> bool:
        """Return whether the partition had an owner: only those write snapshots."""
        return await self.end_position(topics.SNAPSHOTS) > 0

    async def close(self) -> None:
        """Stop the clients, each within the request's timeout."""
        await self._stop(self._producer.stop())
        await self._stop(close_client(self._reader))

    async def _stop(self, closing: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                await closing
        except (*_FENCED, KafkaError, OSError, TimeoutError) as error:
            log_.debug("partition_close_failed", at=str(self._at), error=str(error))

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next commands; none if no new one arrives in time.

        Raises PositionLostError if commands are lost.
        """
        if self.lost is not None:
            raise self.lost
        prefix = self._settings.prefix
        return await fetch(
            self._reader, wait_ms=self._poll_ms, limit=limit, prefix=prefix
        )

    async def holds(self, key: str) -> bool:
        """Return whether the default partitioner of clients puts a key here."""
        return partition_for_key(topics.COMMANDS, key, self._settings) == self.number

    async def end_position(self, topic: str) -> int:
        """Return the last position of a topic's partition of the same number."""
        at = TopicPartition(self._settings.prefix + topic, self.number)
        return (await end_offsets(self._reader, [at]))[at]

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append all records and move the position, in one transaction.

        Every send is awaited: a commit doesn't report a failed one. An unknown outcome
        is a FencedError: the next owner of the partition finds out how it ended.
        """
        if self._is_fenced:
            raise FencedError(f"Expected to own {self._at}, but it was lost")
        if not records and position is None:
            return
        try:
            await self._transact(records, position)
        except (TransientError, PermanentError):
            raise
        except BaseException as error:
            self._is_fenced = True
            if isinstance(error, (*_FENCED, KafkaError)):
                message = f"Expected to commit to {self._at}, but: {error!r}"
                raise FencedError(message) from error
            raise

    async def _transact(self, records: Sequence[Record], position: int | None) -> None:
        await self._producer.begin_transaction()
        try:
            await self._send(records)
            if position is not None:
                await self._producer.send_offsets_to_transaction(
                    {self._at: position}, self._settings.prefix + self._group
                )
        except MessageSizeTooLargeError as error:
            await self._producer.abort_transaction()
            raise too_large(error) from error
        except _FENCED:
            raise
        except KafkaError as error:
            await self._producer.abort_transaction()
            raise unreachable(error) from error
        await self._producer.commit_transaction()

    async def _send(self, records: Sequence[Record]) -> None:
        sent = list[asyncio.Future[RecordMetadata]]()
        prefix = self._settings.prefix
        for record in records:
            sending = await self._producer.send(
                **sendable(record, prefix), partition=self._partition_for(record)
            )
            sending.add_done_callback(retrieve_error)
            sent.append(sending)
        for result in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def _partition_for(self, record: Record) -> int:
        """Return where a record goes: what is owned, to the partition of this number.

        There it can't be behind the open transaction of another partition's owner.
        """
        if record.topic in topics.OWNED:
            return self.number
        return partition_for_record(record, self._settings)
