"""An engine on Kafka in this process: propellers, an echoing runner, no gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from domain.execution.context import Limits
from infra.blobs.files import FileBlobs
from infra.clock import SystemClock
from infra.eventlog.contract import OwnedPartition
from infra.eventlog.kafka import topics as kafka_topics
from infra.eventlog.kafka.log import KafkaLog
from infra.postgres.pool import Pool, open_pool
from infra.setting_sections.processes import RunnerSettings
from infra.setting_sections.storage import KafkaSettings, LogSettings
from infra.settings import Settings
from projections.queries.catalog import Catalog
from schemas import topics
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.leases import Leases
from workers.propeller.loading.admission import AdmissionLoader
from workers.propeller.loading.definition_cache import DefinitionCache
from workers.propeller.loading.execution_loader import ExecutionLoader
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.loop import Propeller
from workers.propeller.partitions import Partitions
from workers.propeller.stream_kinds import STREAM_KINDS
from workers.runner.cache_lookup import CacheLookups
from workers.runner.loop import Runner


@asynccontextmanager
async def engine_on(
    kafka: KafkaSettings, postgres: str, folder: Path
) -> AsyncIterator[Partitions]:
    """Handle commands of a broker, meanwhile; the registry is a Postgres'."""
    settings, clock, stop = Settings(data_dir=folder), SystemClock(), asyncio.Event()
    await kafka_topics.create(kafka)
    async with AsyncExitStack() as stack:
        log = KafkaLog(kafka, LogSettings(poll_interval_s=0.2))
        await log.open()
        stack.push_async_callback(log.close)
        pool = await open_pool(postgres)
        stack.push_async_callback(pool.close)
        blobs = FileBlobs(folder / "blobs")

        async def restore(partition: OwnedPartition, made: Propeller) -> None:
            streams = {
                received.envelope.stream
                async for batch in log.read_to_end(topics.EVENTS, {}, 1000)
                for received in batch
                if received.partition == partition.number
            }
            await made.restore(sorted(streams))

        runner = Runner(
            log=log,
            blobs=blobs,
            clock=clock,
            settings=RunnerSettings(name="r"),
            incarnation="i1",
            process=None,
            inline_limit=settings.inline_bytes_max,
            report_delay_s=0.0,
            cache_lookups=CacheLookups(
                catalog=Catalog(pool, log, settings.cache), blobs=blobs, poll_s=1
            ),
        )
        partitions = Partitions(
            log, lambda: _propeller(settings, log, pool, blobs), restore
        )
        tasks = [
            asyncio.create_task(partitions.run(stop)),
            asyncio.create_task(runner.run(stop)),
        ]
        try:
            async with asyncio.timeout(60):
                while len(partitions.served) < kafka.partitions:
                    await asyncio.sleep(0.05)
                    if tasks[0].done():
                        await tasks[0]
            yield partitions
        finally:
            stop.set()
            await asyncio.gather(*tasks)


def _propeller(
    settings: Settings, log: KafkaLog, pool: Pool, blobs: FileBlobs
) -> Propeller:
    definitions = DefinitionCache(blobs, 100)
    loader = ExecutionLoader(
        log=log,
        definitions=definitions,
        admission=AdmissionLoader(
            pool=pool,
            log=log,
            blobs=blobs,
            definitions=definitions,
            domains=settings.domains,
            max_parallelism=25,
            inline_bytes_max=settings.inline_bytes_max,
        ),
        limits=Limits(),
    )
    kinds = STREAM_KINDS.with_loaders({EXECUTIONS.prefix: loader})
    return Propeller(
        kinds=kinds,
        streams=StreamCache(log, kinds, closed_max=100),
        leases=Leases(60),
    )
