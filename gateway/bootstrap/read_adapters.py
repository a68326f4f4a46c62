"""Adapters of commands that read an engine's data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.bootstrap.data_dir import DataDir
from gateway.bootstrap.logs import open_kafka_log
from infra.blobs.files import Blobs
from infra.blobs.store import open_blobs
from infra.eventlog.contract import EventReader
from infra.eventlog.kafka.reader import KafkaReader
from infra.eventlog.postgres.reader import LogReader
from infra.postgres.embedded_server import PostgresServer
from infra.postgres.pool import Pool, open_pool
from infra.settings import Settings

_READ_CONNECTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAdapters:
    """What commands read an engine's data with."""

    pool: Pool
    blobs: Blobs
    log: EventReader


@asynccontextmanager
async def open_read_adapters(
    settings: Settings, data: DataDir, url: str
) -> AsyncIterator[ReadAdapters]:
    """Connect to an engine's Postgres and blobs, and to its log wherever that is."""
    async with AsyncExitStack() as stack:
        pool = await open_pool(url, size=_READ_CONNECTIONS)
        stack.push_async_callback(pool.close)
        blobs = await stack.enter_async_context(open_blobs(settings, data.blobs))
        log: EventReader = LogReader(pool)
        if settings.kafka.bootstrap_servers:
            kafka = await stack.enter_async_context(open_kafka_log(settings, pool))
            log = KafkaReader(kafka)
        yield ReadAdapters(pool=pool, blobs=blobs, log=log)


@asynccontextmanager
async def running_postgres(folder: Path) -> AsyncIterator[str]:
    """Run the embedded Postgres of a folder that no engine holds; yield its URL."""
    server = PostgresServer(folder)
    url = await server.start_unless_cancelled()
    try:
        yield url
    finally:
        await asyncio.to_thread(server.stop)
