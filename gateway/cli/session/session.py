"""Sessions: the data of an engine as commands read it, whether it runs or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.bootstrap.data_dir import DataDir, EngineAlreadyRunningError
from gateway.bootstrap.read_adapters import open_read_adapters, running_postgres
from gateway.cli.errors import CommandError, ExitCode
from infra.blobs.files import Blobs
from infra.eventlog.contract import EventReader
from infra.postgres.pool import Pool
from infra.postgres.usable import check_usable
from infra.settings import Settings
from projections.queries import executions
from projections.views.apply import STREAM_PROJECTIONS, StreamProjections
from schemas.ids import ExecutionRef, execution_stream
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.stream_kinds import STREAM_KINDS, StreamKinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An engine's data, open for reading.

    `is_down` is True where no engine appends to the log; `url` is that of Postgres;
    `kinds` and `projections` belong to the kinds of streams on
    the log.
    """

    settings: Settings
    data: DataDir
    is_down: bool
    url: str
    pool: Pool
    log: EventReader
    blobs: Blobs
    kinds: StreamKinds = STREAM_KINDS
    projections: StreamProjections = STREAM_PROJECTIONS

    async def stream(self, text: str) -> str:
        """Return the stream of this text: its id, or an execution by its name.

        Raises CommandError if there is no such execution.
        """
        kind = self.kinds.find(text)
        if kind is not None and kind.is_id(text):
            return text
        return execution_stream(await self.execution(text))

    async def execution(self, text: str) -> ExecutionRef:
        """Return the execution of this text; raises CommandError if there is none.

        The text is project/domain/name, or the name alone if it is unique.
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


def short_name(stream: str) -> str:
    """Return a stream as `Session.stream` takes it: an execution without its kind."""
    return stream.removeprefix(f"{EXECUTIONS.prefix}/")


@asynccontextmanager
async def open_session(
    settings: Settings, *, create: bool = False
) -> AsyncIterator[Session]:
    """Open an engine's data; if no engine is running, its Postgres is started.

    With `create` a missing data folder is made.
    """
    data = DataDir(settings.data_dir)
    if settings.kafka.bootstrap_servers and not settings.postgres:
        raise CommandError(
            "Expected FLIGHTLOG_POSTGRES beside FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS, "
            "but it isn't set",
            ExitCode.USAGE,
        )
    engine = None if settings.kafka.bootstrap_servers else data.address()
    if engine is not None or settings.postgres:
        url = engine.postgres if engine is not None else settings.postgres
        if engine is None:
            await check_usable(url, creates=create)
        async with _connected(settings, data, url, is_down=False) as session:
            yield session
        return
    if not create and not _initialised(data.postgres):
        raise CommandError(
            f"Expected the data of an engine in {data.path}, but there is none; start "
            "one with 'flightlog up'",
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
            async with running_postgres(data.postgres) as url:
                yield url
    except EngineAlreadyRunningError as error:
        text = f"{error}, and isn't ready yet"
        raise CommandError(text, ExitCode.NO_ENGINE) from error


@asynccontextmanager
async def _connected(
    settings: Settings, data: DataDir, url: str, *, is_down: bool
) -> AsyncIterator[Session]:
    async with open_read_adapters(settings, data, url) as adapters:
        yield Session(
            settings=settings,
            data=data,
            is_down=is_down,
            url=url,
            pool=adapters.pool,
            log=adapters.log,
            blobs=adapters.blobs,
        )


def _initialised(folder: Path) -> bool:
    return (folder / "PG_VERSION").exists()
