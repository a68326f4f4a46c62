"""Adapters of a role: connected in order, waiting for what can't be reached yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from gateway.bootstrap.adapters import Adapters
from gateway.bootstrap.data_dir import DataDir
from gateway.version import version
from infra.blobs.store import open_blobs
from infra.clock import SystemClock
from infra.eventlog.contract import Log
from infra.eventlog.kafka.log import KafkaLog
from infra.postgres.failures import retry_outages
from infra.postgres.format_gate import FormatGate
from infra.postgres.pool import advisory_lock, open_pool
from infra.postgres.usable import check_usable
from infra.retry import retry_transient
from infra.settings import Settings
from projections.migrate import migrate
from projections.queries.stream_extents import StreamExtentQuery
from schemas import topics


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAdapters(Adapters):
    """The adapters of a role: its log is shared on Kafka."""

    log: KafkaLog


@asynccontextmanager
async def open_adapters(settings: Settings, role: str) -> AsyncIterator[RoleAdapters]:
    """Connect a role's adapters, waiting for what can't be reached yet.

    The data folder must be prepared. Raises PermanentError for what can't be used, as
    for missing topics, or data of a newer version.
    """
    data = DataDir(settings.data_dir)
    async with AsyncExitStack() as stack:
        blobs = await stack.enter_async_context(open_blobs(settings, data.blobs))
        await retry_transient(
            lambda: check_usable(settings.postgres), "postgres_delayed"
        )
        await retry_outages(lambda: _tables(settings.postgres), "postgres_delayed")
        pool = await retry_outages(
            lambda: open_pool(settings.postgres), "postgres_delayed"
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
    async with advisory_lock(url):
        await asyncio.to_thread(migrate, url, is_alone=True)
