"""An owned partition on Kafka: a fenced producer and a reader, thrown away together.

The order in `open` is what makes it exact (aiokafka lacks KIP-447). Starting the
producer fences the owner before and ends its open transaction; only then is the
committed offset the true one, and reading begins there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    InvalidProducerEpoch,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
)

from infra.errors import FencedError, PermanentError, TransientError
from infra.eventlog.contract import Received, Record
from infra.eventlog.kafka.clients import (
    new_consumer,
    new_producer,
    partition_for_key,
    partition_for_record,
)
from infra.eventlog.kafka.records import received, sendable
from infra.setting_sections import KafkaSettings

log_ = structlog.get_logger(__name__)

_GONE = (ProducerFenced, InvalidProducerEpoch, IllegalOperation, AssertionError)
"""How aiokafka tells that a newer owner took over, or that a producer is dead."""


class KafkaPartition:
    """One partition of commands that falls to this process, from fencing to loss."""

    def __init__(
        self, settings: KafkaSettings, group: str, at: TopicPartition, poll_s: float
    ) -> None:
        """Prepare; `open` fences whoever owned it before."""
        self.number: int = at.partition
        self._settings = settings
        self._group = group
        self._at = at
        self._poll_ms = round(poll_s * 1000)
        self._producer: AIOKafkaProducer = new_producer(
            settings,
            transactional_id=f"{settings.prefix}{group}/{at.topic}/{at.partition}",
            transaction_timeout_ms=round(settings.transaction_timeout_s * 1000),
        )
        self._reader: AIOKafkaConsumer = new_consumer(settings)
        self._is_dead = False

    async def open(self) -> None:
        """Fence, then find the position, then read from there; raises Transient."""
        try:
            await self._producer.start()
            position = await self._committed()
            await self._reader.start()
            self._reader.assign([self._at])
            self._reader.seek(self._at, position)
        except (KafkaError, OSError) as error:
            message = f"Expected to own {self._at}, but: {error!r}"
            raise TransientError(message) from error

    async def _committed(self) -> int:
        asking: AIOKafkaConsumer = new_consumer(self._settings, group_id=self._group)
        try:
            await asking.start()
            asking.assign([self._at])
            return await asking.committed(self._at) or 0
        finally:
            await asking.stop()

    async def close(self) -> None:
        """Let go of it; what can't be said to the broker in time isn't said."""
        for part in (self._producer, self._reader):
            try:
                async with asyncio.timeout(self._settings.request_timeout_s):
                    await part.stop()
            except (*_GONE, KafkaError, OSError, TimeoutError) as error:
                log_.debug("partition_close_failed", at=str(self._at), error=str(error))

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next commands; none if there is no news for a while."""
        try:
            found: Any = await self._reader.getmany(
                timeout_ms=self._poll_ms, max_records=limit
            )
        except KafkaError as error:
            message = f"Expected to read {self._at}, but: {error!r}"
            raise TransientError(message) from error
        prefix = self._settings.prefix
        return [received(message, prefix) for message in found.get(self._at, ())]

    async def holds(self, key: str) -> bool:
        """Tell whether this is where every client's own partitioner puts a key."""
        at: int = self._at.partition
        return at == await partition_for_key(self._producer, self._at.topic, key)

    async def end_position(self, topic: str) -> int:
        """Return the last position of a topic's partition of this number."""
        at = TopicPartition(self._settings.prefix + topic, self.number)
        try:
            found: Any = await self._reader.end_offsets([at])
        except KafkaError as error:
            message = f"Expected the end of {at}, but: {error!r}"
            raise TransientError(message) from error
        return int(found[at])

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append everything and move the position in one transaction.

        Every send is awaited: a commit doesn't tell of a failed one. An outcome that
        isn't known is Fenced: whoever owns the partition next reads how it ended.
        """
        if self._is_dead:
            message = f"Expected to own {self._at}, but it was lost"
            raise FencedError(message)
        if not records and position is None:
            return
        try:
            await self._transact(records, position)
        except (TransientError, PermanentError):
            raise
        except BaseException as error:
            self._is_dead = True
            if isinstance(error, (*_GONE, KafkaError)):
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
            message = f"Expected a record that the log can keep, but: {error}"
            raise PermanentError(message) from error
        except _GONE:
            raise
        except KafkaError as error:
            await self._producer.abort_transaction()
            message = f"Expected to append to the log, but: {error!r}"
            raise TransientError(message) from error
        await self._producer.commit_transaction()

    async def _send(self, records: Sequence[Record]) -> None:
        sent, prefix = [], self._settings.prefix
        for record in records:
            at = await partition_for_record(self._producer, record, prefix)
            arguments = sendable(record, prefix)
            sending = await self._producer.send(**arguments, partition=at)
            sending.add_done_callback(_take_note)
            sent.append(sending)
        failures = [
            error
            for error in await asyncio.gather(*sent, return_exceptions=True)
            if isinstance(error, BaseException)
        ]
        if failures:
            raise failures[0]


def _take_note(sending: asyncio.Future[Any]) -> None:
    """Hear how it went, though nobody waits any more: asyncio would complain."""
    if not sending.cancelled():
        sending.exception()
