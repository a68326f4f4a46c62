"""A partition of commands beyond the configured number: an operator added it.

No stream lives there. Whatever clients put there is refused: its owner appends dead
letters and answers, and moves on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer, TopicPartition

from infra.eventlog.contract import Record
from infra.eventlog.kafka.clients import call, new_producer, partition_for_key
from infra.eventlog.kafka.owned_partition import KafkaPartition
from infra.eventlog.kafka.records import sendable
from infra.setting_sections.storage import KafkaSettings
from schemas import topics


class StrayPartition(KafkaPartition):
    """An owned partition that holds no keys.

    It has no partition of events of its own. Answers go to where their streams live,
    which other owners write: so not in the transaction but before it, once or more.
    """

    def __init__(
        self, settings: KafkaSettings, group: str, at: TopicPartition, poll_s: float
    ) -> None:
        """Prepare; `open` fences the previous owner."""
        super().__init__(settings, group, at, poll_s)
        self._answers: AIOKafkaProducer = new_producer(settings)

    async def open(self) -> None:
        """Connect the producer of answers, too."""
        await call(self._answers.start())
        await super().open()

    async def close(self) -> None:
        """Stop the clients."""
        await super().close()
        await self._stop(self._answers.stop())

    async def holds(self, key: str) -> bool:
        """Return False: no key belongs here."""
        del key
        return False

    async def end_position(self, topic: str) -> int:
        """Return 0: nothing else has a partition of this number."""
        del topic
        return 0

    async def _was_owned(self) -> bool:
        """Return False: nobody can tell."""
        return False

    async def _send(self, records: Sequence[Record]) -> None:
        owned = [record for record in records if record.topic in topics.OWNED]
        prefix = self._settings.prefix
        sent = [
            await self._answers.send(
                **sendable(record, prefix),
                partition=partition_for_key(record.topic, record.key, self._settings),
            )
            for record in owned
        ]
        await asyncio.gather(*sent)
        await super()._send([r for r in records if r.topic not in topics.OWNED])
