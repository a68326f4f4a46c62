"""What every reader has passed is deleted from a real broker, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition
from msgspec.structs import replace

from infra.clock import SystemClock
from infra.eventlog.contract import Record
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.owned_partition import KafkaPartition
from schemas import topics as t
from tests.contract.conftest import PARTITIONS, KafkaKind
from tests.contract.records import command, dispatch, event_record
from workers.operations.kafka_trimmer import KafkaTrimmer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

COUNT = 5
TOPICS = (t.COMMANDS, t.DISPATCHES, t.ABORTS)


class LaterClock(SystemClock):
    """A clock that is ahead, so that what was just appended is old."""

    def now_us(self) -> int:
        """Return a time two minutes from now."""
        return super().now_us() + 120_000_000


def trimmer(log: KafkaLog, *, ahead: bool = True) -> KafkaTrimmer:
    """What trims, by a clock that may be ahead."""
    clock = LaterClock() if ahead else SystemClock()
    return KafkaTrimmer(log=log, clock=clock, retention_s=30.0, interval_s=60.0)


async def filled(kafka: KafkaKind) -> KafkaLog:
    """A log with some messages on the first partition of each topic, as owners write.

    Behind each transaction is a marker of its commit.
    """
    log = await kafka.open()
    at = TopicPartition(kafka.settings.prefix + t.COMMANDS, 0)
    partition = KafkaPartition(kafka.settings, t.PROPELLER_GROUP, at, 0.3)
    await partition.open()
    records: list[Record] = [event_record(1)]
    for number in range(COUNT):
        made = (
            command(f"c{number}"),
            dispatch(f"d{number}"),
            dispatch(f"a{number}", t.ABORTS),
        )
        records += [replace(record, partition=0) for record in made]
    await partition.commit(records, None)
    await partition.close()
    return log


async def left(log: KafkaLog) -> Mapping[str, int]:
    """How many messages are left on each topic."""
    return {
        topic: sum([len(b) async for b in log.read_to_end(topic, {}, 99)])
        for topic in (*TOPICS, t.EVENTS)
    }


async def test_what_every_reader_has_passed_is_deleted(kafka: KafkaKind) -> None:
    """But for events; markers behind the last dispatch are no unread one."""
    log = await filled(kafka)
    await log.move_position(t.PROPELLER_GROUP, t.COMMANDS, 0, COUNT)
    await log.move_position(t.RUNNER_GROUP, t.DISPATCHES, 0, COUNT)
    await trimmer(log, ahead=False).trim()
    assert set((await left(log)).values()) == {COUNT, 1}
    await trimmer(log).trim()
    assert await left(log) == {**dict.fromkeys(TOPICS, 0), t.EVENTS: 1}
    (state, *others) = await log.position_states(t.PROPELLER_GROUP, t.COMMANDS)
    assert (state.first, state.problem) == (COUNT, "")
    assert len(others) == PARTITIONS - 1


async def test_an_unread_dispatch_keeps_what_its_runner_will_look_for(
    kafka: KafkaKind,
) -> None:
    """Aborts and reports about it may be there, however old; dispatches before go."""
    log = await filled(kafka)
    await log.move_position(t.PROPELLER_GROUP, t.COMMANDS, 0, COUNT)
    await log.move_position(t.RUNNER_GROUP, t.DISPATCHES, 0, COUNT - 1)
    await trimmer(log).trim()
    kept = {t.COMMANDS: COUNT, t.DISPATCHES: 1, t.ABORTS: COUNT, t.EVENTS: 1}
    assert await left(log) == kept


async def test_commands_are_kept_until_they_are_handled(kafka: KafkaKind) -> None:
    """By the position of their group; one that has none has read nothing."""
    log = await filled(kafka)
    await trimmer(log).trim()
    everything = {**dict.fromkeys(TOPICS, COUNT), t.EVENTS: 1}
    assert await left(log) == everything
    await log.move_position(t.PROPELLER_GROUP, t.COMMANDS, 0, 2)
    await log.move_position(t.RUNNER_GROUP, t.DISPATCHES, 0, COUNT)
    await trimmer(log).trim()
    assert (await left(log))[t.COMMANDS] == COUNT - 2
