"""The projector role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.bootstrap import gauges
from gateway.bootstrap.roles.adapters import RoleAdapters
from gateway.bootstrap.roles.worker import Served, Worker
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector


@asynccontextmanager
async def projector(adapters: RoleAdapters, _served: Served) -> AsyncIterator[Worker]:
    """Build a projector for the partitions assigned to this process."""
    projector = Projector(
        adapters.log, adapters.pool, batch_max=adapters.settings.log.events_max
    )
    shared = PartitionedProjector(
        adapters.log,
        projector,
        adapters.gate,
        adapters.settings.kafka.given_up_s,
        adapters.clock,
    )

    async def run(stop: asyncio.Event) -> None:
        """Run until told to stop; a transaction in progress is rolled back."""
        working = asyncio.create_task(shared.run())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
        if not working.cancelled():
            await working

    yield Worker(
        run=run,
        metrics=lambda: gauges.of_role(
            adapters.log, gauges.of_shared_projector(shared)
        ),
    )
