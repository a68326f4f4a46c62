"""Roles of a cluster that have a Postgres: projector and sweeper, and their check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from infra.clock import SYSTEM_CLOCK
from infra.eventlog.kafka.log import KafkaLog
from infra.postgres.pool import Connection, Pool, open_pool
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.roles import ROLES, opened, until_stopped
from tests.support.components.postgres import migrated_database
from tests.support.harness.read_models import ReadModels
from workers.operations.retention import Sweeper

_CONNECTIONS = 2


@dataclass(frozen=True, slots=True)
class SlowPool:
    """A pool that has a connection free after a while."""

    pool: Pool
    delay_s: Callable[[], float]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection."""
        await asyncio.sleep(self.delay_s())
        async with self.pool.connection() as conn:
            yield conn


async def projector(cluster: Cluster, name: str, stop: asyncio.Event) -> None:
    """Apply the events of the partitions that fall to this process."""
    log = await opened(cluster, name)
    pool = await open_pool(cluster.database, _CONNECTIONS)
    slow: Any = SlowPool(pool, lambda: cluster.database_delays_s.get(name, 0.0))
    following = PartitionedProjector(log, Projector(log, slow))
    try:
        await until_stopped(following.run(), stop)
    finally:
        await pool.close()
        await log.close()


async def sweeper(cluster: Cluster, name: str, stop: asyncio.Event) -> None:
    """Delete what belongs to deleted executions."""
    log = await opened(cluster, name)
    pool = await open_pool(cluster.database, _CONNECTIONS)
    sweeping = Sweeper(
        log=log,
        pool=pool,
        blobs=cluster.blobs,
        clock=SYSTEM_CLOCK,
        settings=cluster.settings_of(name).retention,
    )
    try:
        await until_stopped(sweeping.run(), stop)
    finally:
        await pool.close()
        await log.close()


ROLES |= {"projector": projector, "sweeper": sweeper}


async def differences(cluster: Cluster) -> list[str]:
    """Return which read models aren't what the events on the log make."""
    settings = cluster.settings_of("check")
    log = KafkaLog(settings.kafka, settings.log)
    await log.open()
    pools = [await open_pool(cluster.database), await open_pool(migrated_database())]
    found, expected = pools
    await Projector(log, expected).catch_up()
    has, should = await ReadModels(found).dump(), await ReadModels(expected).dump()
    for pool in pools:
        await pool.close()
    await log.close()
    return [
        f"{table}: {len(has[table])} rows instead of {len(should[table])}, "
        f"{sum(row not in has[table] for row in should[table])} differ"
        for table in should
        if has[table] != should[table]
    ]
