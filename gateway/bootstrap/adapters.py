"""What roles that are processes of their own stand on: Kafka, Postgres, blobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from gateway.bootstrap.data_dir import DataDir
from infra.blobs.files import Blobs
from infra.blobs.store import open_blobs
from infra.clock import Clock, SystemClock
from infra.errors import PermanentError, TransientError
from infra.eventlog.kafka.log import KafkaLog
from infra.postgres.pool import Pool, alone, open_pool
from infra.retry import retry_transient
from infra.settings import Settings
from projections.migrate import migrate
from projections.queries.stream_extents import StreamExtentQuery

log_ = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backings:
    """The adapters of one role, connected."""

    settings: Settings
    clock: Clock
    pool: Pool
    blobs: Blobs
    log: KafkaLog
    data: DataDir


def check(settings: Settings) -> None:
    """Raise Permanent, with a word on what to set, if roles can't run by these."""
    needed = {
        "FLIGHTLOG_KAFKA__SERVERS": settings.kafka.servers,
        "FLIGHTLOG_POSTGRES": settings.postgres,
    }
    missing = [name for name, value in needed.items() if not value]
    if missing:
        message = (
            f"Expected {' and '.join(missing)} to be set, but roles have nothing to "
            "stand on without; 'flightlog up' needs neither"
        )
        raise PermanentError(message)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Backings]:
    """Connect to everything; what is away is waited for.

    Raises Permanent if what is there can't be used, as topics that are missing.
    """
    data = DataDir(settings.data_dir)
    data.path.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        await retry_transient(lambda: _tables(settings.postgres), "postgres_delayed")
        pool = await retry_transient(
            lambda: _pool(settings.postgres), "postgres_delayed"
        )
        stack.push_async_callback(pool.close)
        log = KafkaLog(settings.kafka, settings.log, StreamExtentQuery(pool))
        stack.push_async_callback(log.close)
        await retry_transient(log.open, "log_delayed")
        blobs = await stack.enter_async_context(open_blobs(settings, data.blobs))
        yield Backings(
            settings=settings,
            clock=SystemClock(),
            pool=pool,
            blobs=blobs,
            log=log,
            data=data,
        )


async def _tables(url: str) -> None:
    """Bring the tables up to date; other roles do so at the same time."""
    try:
        async with alone(url):
            await asyncio.to_thread(migrate, url, is_alone=True)
    except psycopg.OperationalError as error:
        raise TransientError(
            f"Expected a Postgres that answers, but: {error}"
        ) from error


async def _pool(url: str) -> Pool:
    try:
        return await open_pool(url)
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise TransientError(
            f"Expected a Postgres that answers, but: {error}"
        ) from error
