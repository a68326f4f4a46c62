"""What reading commands work with: the data of an engine, whether it runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.bootstrap.data_dir import DataDir, EngineAlreadyRunningError
from gateway.cli.errors import CommandError, ExitCode
from infra.blobs.files import Blobs
from infra.blobs.store import open_blobs
from infra.eventlog.contract import EventReader
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.reader import KafkaReader
from infra.eventlog.postgres.reader import LogReader
from infra.postgres.pool import EmbeddedPostgres, Pool, open_pool
from infra.settings import Settings
from projections.queries import executions
from projections.queries.stream_extents import StreamExtentQuery
from schemas.ids import ExecutionRef

_CONNECTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An engine's data, open for reading; `is_down` tells that nobody adds to it.

    `url` is its Postgres'.
    """

    settings: Settings
    data: DataDir
    is_down: bool
    url: str
    pool: Pool
    log: EventReader
    blobs: Blobs

    async def execution(self, text: str) -> ExecutionRef:
        """Return the execution that somebody names; raises CommandFailed.

        It is written project/domain/name, or by its name alone where that is unique.
        """
        parts = text.strip("/").split("/")
        if len(parts) == 3 and all(parts):  # noqa: PLR2004 - project, domain, name
            project, domain, name = parts
            return ExecutionRef(project=project, domain=domain, name=name)
        if len(parts) != 1:
            raise CommandError(
                f"Expected project/domain/name or a name, but got '{text}'",
                ExitCode.USAGE,
            )
        found = await executions.find_executions(self.pool, text)
        if not found:
            raise CommandError(f"Expected execution '{text}' to exist, but it doesn't")
        if len(found) > 1:
            names = ", ".join(ref.text() for ref in found)
            raise CommandError(
                f"Expected a unique name, but '{text}' is one of: {names}",
                ExitCode.USAGE,
            )
        return found[0]


@asynccontextmanager
async def open_session(
    settings: Settings, *, create: bool = False
) -> AsyncIterator[Session]:
    """Open an engine's data; while it is down its Postgres is started for us.

    Where there is none yet it is made, if `create` says so.
    """
    data = DataDir(settings.data_dir)
    if settings.kafka.servers and not settings.postgres:
        raise CommandError(
            "Expected FLIGHTLOG_POSTGRES to be set as FLIGHTLOG_KAFKA__SERVERS is, "
            "but it isn't",
            ExitCode.USAGE,
        )
    engine = None if settings.kafka.servers else data.address()
    if engine is not None or settings.postgres:
        url = engine.postgres if engine is not None else settings.postgres
        async with _connected(settings, data, url, is_down=False) as session:
            yield session
        return
    if not create and not _initialised(data.postgres):
        raise CommandError(
            f"Expected the data of an engine in {data.path}, but none ever ran there; "
            "start one with 'flightlog up'",
            ExitCode.NO_ENGINE,
        )
    async with (
        _own_postgres(data) as url,
        _connected(settings, data, url, is_down=True) as session,
    ):
        yield session


@asynccontextmanager
async def _own_postgres(data: DataDir) -> AsyncIterator[str]:
    try:
        with data.hold():
            server = EmbeddedPostgres(data.postgres)
            url = await asyncio.to_thread(server.start)
            try:
                yield url
            finally:
                await asyncio.to_thread(server.stop)
    except EngineAlreadyRunningError as error:
        words = f"{error}, and isn't ready yet"
        raise CommandError(words, ExitCode.NO_ENGINE) from error


@asynccontextmanager
async def _connected(
    settings: Settings, data: DataDir, url: str, *, is_down: bool
) -> AsyncIterator[Session]:
    async with AsyncExitStack() as stack:
        pool = await open_pool(url, size=_CONNECTIONS)
        stack.push_async_callback(pool.close)
        blobs = await stack.enter_async_context(open_blobs(settings, data.blobs))
        log: EventReader = LogReader(pool)
        if settings.kafka.servers:
            kafka = KafkaLog(settings.kafka, settings.log, StreamExtentQuery(pool))
            await kafka.open()
            stack.push_async_callback(kafka.close)
            log = KafkaReader(kafka)
        yield Session(
            settings=settings,
            data=data,
            is_down=is_down,
            url=url,
            pool=pool,
            log=log,
            blobs=blobs,
        )


def _initialised(folder: Path) -> bool:
    return (folder / "PG_VERSION").exists()
