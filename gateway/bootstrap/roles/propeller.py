"""The propeller role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from gateway.bootstrap import gauges
from gateway.bootstrap.components import propellers
from gateway.bootstrap.roles.adapters import RoleAdapters
from gateway.bootstrap.roles.worker import Served, Worker
from infra.retry import run_endless
from workers.operations.kafka_trimmer import KafkaTrimmer
from workers.propeller import restore as restoring
from workers.propeller.loading.stream_endings import ClosedStreamQuery


@asynccontextmanager
async def propeller(adapters: RoleAdapters, _served: Served) -> AsyncIterator[Worker]:
    """Build a propeller for the partitions assigned to this process.

    It also sweeps and trims, which several propellers can do at once.
    """
    restore = partial(restoring.restore, adapters.log)
    closed = ClosedStreamQuery(adapters.pool)
    partitions = propellers.partitions(adapters, restore, closed)
    sweeper = propellers.sweeper(adapters)
    trimmer = KafkaTrimmer(
        log=adapters.log,
        clock=adapters.clock,
        retention_s=adapters.settings.kafka.retention_s,
        interval_s=adapters.settings.log.trim_interval_s,
    )

    async def run(stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            endless = (sweeper.run, trimmer.run)
            others = [group.create_task(run_endless(loop)) for loop in endless]
            await partitions.run(stop)
            for other in others:
                other.cancel()

    yield Worker(
        run=run,
        metrics=lambda: gauges.of_role(adapters.log, gauges.of_propeller(partitions)),
    )
