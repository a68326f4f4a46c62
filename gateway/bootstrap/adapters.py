"""Adapters: the log, Postgres and blobs as processes and commands open them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from gateway.bootstrap.data_dir import DataDir
from gateway.version import version
from infra.blobs.files import Blobs
from infra.blobs.store import open_blobs
from infra.clock import Clock, SystemClock
from infra.eventlog.contract import EventReader, Log
from infra.eventlog.event_store import EventStore
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.reader import KafkaReader
from infra.eventlog.postgres.log import PostgresLog
from infra.eventlog.postgres.reader import LogReader
from infra.postgres.embedded_server import PostgresServer
from infra.postgres.failures import outages_are_transient
from infra.postgres.format_gate import FormatGate
from infra.postgres.pool import Pool, advisory_lock, open_pool
from infra.postgres.usable import check_usable
from infra.retry import retry_transient
from infra.settings import Settings
from projections.migrate import migrate
from projections.queries.stream_extents import StreamExtentQuery
from schemas import topics

log_ = structlog.get_logger(__name__)

_READ_CONNECTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The adapters of one process, connected."""

    settings: Settings
    clock: Clock
    pool: Pool
    blobs: Blobs
    log: Log
    data: DataDir
    gate: FormatGate


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAdapters(Adapters):
    """The adapters of a role: its log is shared on Kafka."""

    log: KafkaLog


@asynccontextmanager
async def open_adapters(settings: Settings, role: str) -> AsyncIterator[RoleAdapters]:
    """Connect a role's adapters, waiting for what can't be reached yet.

    Raises PermanentError for what can't be used, as for missing topics, or data of a
    newer version.
    """
    data = DataDir(settings.data_dir)
    data.prepare()
    async with AsyncExitStack() as stack:
        blobs = await stack.enter_async_context(open_blobs(settings, data.blobs))
        await retry_transient(
            lambda: check_usable(settings.postgres), "postgres_delayed"
        )
        await retry_transient(lambda: _tables(settings.postgres), "postgres_delayed")
        pool = await retry_transient(
            lambda: _pool(settings.postgres), "postgres_delayed"
        )
        stack.push_async_callback(pool.close)
        log = KafkaLog(settings.kafka, settings.log, StreamExtentQuery(pool))
        stack.push_async_callback(log.close)
        await retry_transient(log.open, "log_delayed")
        gate = FormatGate(pool, settings.upgrade, role, version())
        await stack.enter_async_context(gate.entered(lambda: _is_empty(log)))
        yield RoleAdapters(
            settings=settings,
            clock=SystemClock(),
            pool=pool,
            blobs=blobs,
            log=log,
            data=data,
            gate=gate,
        )


async def _is_empty(log: Log) -> bool:
    """Return whether the log never held an event, of executions or the registry."""
    for topic in (topics.EVENTS, topics.REGISTRY):
        if any((await log.end_positions((topic,))).values()):
            return False
    return True


async def _tables(url: str) -> None:
    """Apply missing migrations; other roles may do so at the same time."""
    with outages_are_transient():
        async with advisory_lock(url):
            await asyncio.to_thread(migrate, url, is_alone=True)


async def _pool(url: str) -> Pool:
    with outages_are_transient():
        return await open_pool(url)


class _Openable(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...


_O = TypeVar("_O", bound=_Openable)


@asynccontextmanager
async def _opened(adapter: _O) -> AsyncIterator[_O]:
    await adapter.open()
    try:
        yield adapter
    finally:
        await adapter.close()


def open_kafka_log(
    settings: Settings, pool: Pool | None = None
) -> AbstractAsyncContextManager[KafkaLog]:
    """Open the log on Kafka; with a pool, streams are read from where they began."""
    extents = StreamExtentQuery(pool) if pool is not None else None
    return _opened(KafkaLog(settings.kafka, settings.log, extents))


def open_postgres_log(
    settings: Settings, url: str
) -> AbstractAsyncContextManager[PostgresLog]:
    """Open the log on Postgres as its owner; raises FencedError while another is."""
    return _opened(PostgresLog(url, settings.log))


def open_store(url: str) -> AbstractAsyncContextManager[EventStore]:
    """Open the registry's event store, and make its tables where there are none."""
    return _opened(EventStore(url))


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
