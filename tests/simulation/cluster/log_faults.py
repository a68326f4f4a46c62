"""Scenarios of the log: owners that freeze inside, partitions added, records deleted.

Each returns what is wrong, for a seed: nothing, if all is well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.eventlog.kafka.clients import partition_for_record
from infra.eventlog.kafka.owned_partition import KafkaPartition
from schemas import topics
from schemas.messages.commands import CreateExecution, SetSignal
from tests.simulation.cluster.leases import ENDING_S, wrong
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.faults import (
    add_partitions,
    delete_all,
    freeze_in_transaction,
)
from tests.support.cluster.graphs import chain
from tests.support.memory_kafka.install import memory_broker
from tests.support.virtual.process import Process

LONG_TRANSACTION_S = 30.0
KEPT_S = 10.0
DAY_S = 86_400


@asynccontextmanager
async def started(
    seed: int, folder: Path, roles: dict[str, int], **more: Any
) -> AsyncIterator[Cluster]:
    """Run a cluster whose groups have settled."""
    with memory_broker() as broker:
        cluster = Cluster(seed, broker, folder, **more)
        await cluster.start(**roles)
        await cluster.settle()
        yield cluster


async def to_the_end(cluster: Cluster) -> list[str]:
    """Let everything end; return what is wrong."""
    await cluster.until(lambda: not cluster.under_way(), ENDING_S)
    return wrong(cluster)


async def owner_frozen_inside(seed: int, folder: Path) -> list[str]:
    """An owner that answers a misplaced command freezes; another one restarts."""
    more = {"kafka": {"transaction_timeout_s": LONG_TRANSACTION_S}}
    roles = {"propeller": 2, "runner": 2}
    async with started(seed, folder, roles, more=more, is_static=True) as cluster:
        cluster.parent, cluster.runs.durations_s = chain(12), (0.5,)
        names = cluster.names_in(1, 3)
        streams = [await cluster.create(name) for name in names]
        await asyncio.sleep(cluster.draw.uniform(1, 4))
        other = cluster.owner_of(1)
        assert other is not None
        assert other is not cluster.owner_of(0)
        command = SetSignal(signal_id="none", value=b"")
        sending = asyncio.create_task(
            cluster.send(streams[0], command, "misplaced", partition=0, said=False)
        )
        frozen = await freeze_in_transaction(cluster, 0)
        await sending
        await asyncio.sleep(cluster.draw.uniform(0.5, 2))
        cluster.kill(other)
        cluster.spawn(other.role, other.name)
        await asyncio.sleep(2)
        frozen.process.thaw()
        return await to_the_end(cluster)


def answers_by_key(patch: pytest.MonkeyPatch) -> None:
    """Write as older versions do: answers to the partition of their key."""
    patch.setattr(
        KafkaPartition,
        "_partition_for",
        lambda self, record: partition_for_record(record, self._settings),
    )


async def older_owner_frozen_inside(seed: int, folder: Path) -> list[str]:
    """Owners of an older version freeze inside, and answer as those did."""
    with pytest.MonkeyPatch.context() as patch:
        answers_by_key(patch)
        return await owner_frozen_inside(seed, folder)


async def partitions_added(seed: int, folder: Path) -> list[str]:
    """An operator adds partitions to all topics while executions run."""
    more = {"kafka": {"metadata_max_age_s": 5}}
    roles = {"propeller": 2, "runner": 2}
    async with started(seed, folder, roles, more=more) as cluster:
        for number in range(4):
            await cluster.create(f"e{number}")
        await asyncio.sleep(cluster.draw.uniform(0.1, 2))
        add_partitions(cluster, 5)
        return await to_the_end(cluster)


async def runners_away(seed: int, folder: Path) -> list[str]:
    """Dispatches get old before a runner is there to read them."""
    more = {"kafka": {"retention_s": KEPT_S}}
    roles = {"propeller": 1, "runner": 1, "trimmer": 1}
    async with started(seed, folder, roles, more=more) as cluster:
        [runner] = cluster.of("runner")
        await cluster.leave(runner)
        for number in range(3):
            await cluster.create(f"e{number}")
        await asyncio.sleep(3 * KEPT_S)
        cluster.spawn("runner")
        return await to_the_end(cluster)


async def dispatches_deleted(seed: int, folder: Path) -> list[str]:
    """A broker deletes what was never read: lost, but never without a word."""
    roles = {"propeller": 1, "runner": 1}
    async with started(seed, folder, roles) as cluster:
        await cluster.create("e0")
        await cluster.until(lambda: not cluster.under_way(), ENDING_S)
        [runner] = cluster.of("runner")
        await cluster.leave(runner)
        for number in range(1, 4):
            await cluster.create(f"e{number}")
        await asyncio.sleep(5)
        delete_all(cluster, topics.DISPATCHES)
        successor = cluster.spawn("runner")
        found = await to_the_end(cluster)
        has_said = cluster.logs[successor.name].stopped_partitions > 0
        return [] if has_said else found


async def no_child(seed: int, folder: Path) -> list[str]:
    """Children can't be created: their parents fail, and none waits for ever."""

    def refuse(command: CreateExecution) -> None:
        if command.parent is not None:
            raise RuntimeError("Expected a blob, but it is damaged")

    roles = {"propeller": 2, "runner": 2}
    async with started(seed, folder, roles, admit=refuse) as cluster:
        for number in range(2):
            await cluster.create(f"e{number}", {"phase": "FAILED"})
        return await to_the_end(cluster)


async def clock_set_back(seed: int, folder: Path) -> list[str]:
    """The clocks of all propellers are set back by a day, under due timers."""
    async with started(seed, folder, {"propeller": 2, "runner": 2}) as cluster:
        for number in range(3):
            await cluster.create(f"e{number}")
        await asyncio.sleep(cluster.draw.uniform(1, 4))
        for node in cluster.of("propeller"):
            _set_back(node.process)
        return await to_the_end(cluster)


def _set_back(process: Process) -> None:
    process.clock_us -= DAY_S * 1_000_000
