"""Opens logs and the registry's event store, for the embedded engine and commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

from infra.eventlog.event_store import EventStore
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.postgres.log import PostgresLog
from infra.postgres.pool import Pool
from infra.settings import Settings
from projections.queries.stream_extents import StreamExtentQuery


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
