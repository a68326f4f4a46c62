"""Stored positions: whether reading can go on from them, or messages are lost.

Messages may have been deleted before they were read, and the broker forgets positions
of a group that was stopped for long. Reading on from elsewhere would skip or repeat
messages without a word: such a partition stops until an operator accepts the loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.clock import SYSTEM_CLOCK
from infra.errors import PositionLostError
from infra.eventlog.kafka.clients import call, end_offsets

log_ = structlog.get_logger(__name__)

RECHECK_S = 2.0
"""How often a stopped partition looks whether its loss was accepted."""
_FRESH_MS = 86_400_000
"""A group without a position is new to a partition whose oldest message is younger:
brokers keep positions for longer than that."""


class Extent(NamedTuple):
    """What a partition holds: messages after `first`, up to `end`.

    `is_new` if no group can have read it so long ago that its position is forgotten.
    """

    first: int
    end: int
    is_new: bool = False


async def extent_of(
    consumer: AIOKafkaConsumer, at: TopicPartition, stored: int | None
) -> Extent:
    """Return what a partition holds by now; raises TransientError.

    Whether it is new is found out only for a group without a stored position.
    """
    firsts = await call(consumer.beginning_offsets([at]))
    ends = await end_offsets(consumer, [at])
    first, end = firsts[at], ends[at]
    if stored is not None or first:
        return Extent(first, end)
    since_ms = SYSTEM_CLOCK.now_us() // 1000 - _FRESH_MS
    young = (await call(consumer.offsets_for_times({at: since_ms})))[at]
    first_young = end if young is None else young.offset
    return Extent(first, end, is_new=first_young <= first)


def start_position(at: TopicPartition, stored: int | None, extent: Extent) -> int:
    """Return from where a group reads a partition; raises PositionLostError.

    `stored` is its position, None if the broker has none.
    """
    where = f"{at.topic}/{at.partition}"
    if stored is None:
        if not extent.is_new:
            raise PositionLostError(
                f"Expected a stored position on {where}, which holds messages after "
                f"{extent.first} up to {extent.end}, but the broker has none: it "
                "forgets those of a group that was stopped for long"
            )
        return 0
    if stored < extent.first:
        raise PositionLostError(
            f"Expected the messages of {where} after {stored}, but they are deleted up "
            f"to {extent.first}"
        )
    if stored > extent.end:
        raise PositionLostError(
            f"Expected the messages of {where} up to {stored}, but it ends at "
            f"{extent.end}: was the topic created again?"
        )
    return stored


class PositionState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a group has read a partition, and what that holds.

    `problem` says why reading can't go on, '' if it can.
    """

    topic: str
    partition: int
    group: str
    position: int | None
    first: int
    end: int
    problem: str


@dataclass(slots=True)
class StoppedPartitions:
    """Partitions that this process doesn't read until an operator accepts a loss."""

    found: dict[tuple[str, int], str] = field(default_factory=dict)

    def stop(self, topic: str, partition: int, why: PositionLostError) -> None:
        """Note that a partition is stopped; said once."""
        if (topic, partition) in self.found:
            return
        self.found[topic, partition] = str(why)
        log_.error(
            "partition_stopped",
            topic=topic,
            partition=partition,
            error=str(why),
            then=f"flightlog positions accept-loss {topic} {partition}",
        )

    def resume(self, topic: str, partition: int) -> None:
        """Note that a partition is read again."""
        if self.found.pop((topic, partition), None) is not None:
            log_.info("partition_resumed", topic=topic, partition=partition)

    def forget(self, topic: str, partition: int | None = None) -> None:
        """Note that a partition, or all of a topic, isn't this process's any more."""
        for at in [at for at in self.found if at[0] == topic]:
            if partition in {None, at[1]}:
                del self.found[at]
