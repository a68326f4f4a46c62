"""The working parts of an engine, built the same way for one process or many."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from domain.execution.context import Limits
from domain.execution.state.snapshot_chunks import Sizes
from gateway.executions.task_logs import log_url
from gateway.services.redrive import Asked, Redrive
from infra.blobs.files import Blobs
from infra.blobs.s3 import SCHEME, task_variables
from infra.clock import Clock
from infra.eventlog.contract import Log
from infra.eventlog.event_store import EventStore
from infra.postgres.pool import Pool
from infra.settings import Settings, SnapshotSettings
from infra.task_environment import task_environment
from projections.queries.catalog import Catalog
from schemas.messages.dispatches import RunTask
from workers.operations.redrive import Letters, Redriver
from workers.operations.registry_relay import RegistryRelay
from workers.operations.retention import Sweeper
from workers.plugins.process.plugin import ProcessPlugin
from workers.propeller import loop as propellers
from workers.propeller.backpressure import ProjectionLagThrottle
from workers.propeller.leases import Leases
from workers.propeller.loading.admission import AdmissionLoader
from workers.propeller.loading.definition_cache import DefinitionCache
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.loading.stream_endings import ClosedStreamIndex
from workers.propeller.loop import Propeller
from workers.propeller.partitions import Partitions, Restore
from workers.propeller.snapshots import Cadence, Snapshots
from workers.runner.cache_lookup import LookUps
from workers.runner.dynamic_compiler import Expander
from workers.runner.loop import Runner

log_ = structlog.get_logger(__name__)

_SECOND_US = 1_000_000


class Backing(Protocol):
    """The adapters that every working part stands on."""

    @property
    def settings(self) -> Settings:
        """Everything that can be set."""
        ...

    @property
    def clock(self) -> Clock:
        """The time of day."""
        ...

    @property
    def pool(self) -> Pool:
        """Connections to Postgres."""
        ...

    @property
    def blobs(self) -> Blobs:
        """The blob store."""
        ...

    @property
    def log(self) -> Log:
        """The source of truth."""
        ...


def process_plugin(
    settings: Settings, folder: Path, pool: Pool, blobs: Blobs, base_url: str
) -> ProcessPlugin | None:
    """Return what runs tasks in warm processes, if the settings want it.

    Code bundles lie below the folder; links to logs begin with the base URL.
    """
    if settings.plugin != "process":
        return None

    def url(dispatch: RunTask) -> str:
        return log_url(base_url, dispatch.execution, dispatch.node_id, dispatch.attempt)

    return ProcessPlugin(
        settings=settings.process,
        blobs=blobs,
        folder=folder,
        base_env=task_environment(settings)
        | (task_variables(settings.s3) if blobs.root.startswith(SCHEME) else {}),
        log_url=url,
        inline_limit=settings.inline_limit_bytes,
        output_bytes_max=settings.runner.output_bytes_max,
        expander=Expander(pool, blobs, settings.runner.output_bytes_max),
    )


def partitions(
    backing: Backing,
    restore: Restore,
    endings: ClosedStreamIndex | None = None,
    applied: Callable[[], int] | None = None,
) -> Partitions:
    """Return what serves owned partitions, restored in the given way.

    Endings that memory lets go of are looked up in `endings`, or else on the log.
    `applied` counts the events in views of the same process, which keep the pace.
    """
    settings = backing.settings
    definitions = DefinitionCache(backing.blobs, settings.propeller.definitions_max)
    return Partitions(
        backing.log,
        lambda: _propeller(backing, definitions, endings, applied),
        restore,
        backing.clock,
    )


def _propeller(
    backing: Backing,
    definitions: DefinitionCache,
    endings: ClosedStreamIndex | None,
    applied: Callable[[], int] | None,
) -> Propeller:
    settings = backing.settings
    return Propeller(
        pace=ProjectionLagThrottle(applied, clock=backing.clock),
        streams=StreamCache(
            backing.log, definitions, settings.propeller.closed_max, endings
        ),
        snapshots=Snapshots(_cadence(settings.snapshots), backing.clock),
        loader=AdmissionLoader(
            log=backing.log,
            pool=backing.pool,
            blobs=backing.blobs,
            definitions=definitions,
            domains=settings.domains,
            max_parallelism=settings.admission.max_parallelism,
            inline_limit_bytes=settings.inline_limit_bytes,
        ),
        clock=backing.clock,
        leases=Leases(round(settings.propeller.silence_s * _SECOND_US)),
        bounds=propellers.Bounds(
            commands_max=settings.log.batch_max,
            records_max=settings.log.records_max,
        ),
        limits=Limits(
            system_retries=settings.propeller.system_retries,
            redispatches=settings.propeller.redispatches,
            inline_bytes=settings.inline_limit_bytes,
            array_elements=settings.propeller.array_elements,
            execution_timeout_us=_us(settings.propeller.execution_timeout_s),
            system_backoff_us=_us(settings.propeller.system_backoff_s),
            user_backoff_us=_us(settings.propeller.user_backoff_s),
            backoff_max_us=_us(settings.propeller.backoff_max_s),
            memory_factor=settings.propeller.oom_memory_factor,
        ),
    )


def _us(seconds: float) -> int:
    return round(seconds * _SECOND_US)


def _cadence(settings: SnapshotSettings) -> Cadence:
    return Cadence(
        every_s=settings.every_s,
        commit_bytes=settings.commit_bytes,
        sizes=Sizes(nodes_max=settings.nodes_max, bytes_max=settings.chunk_bytes_max),
        last_s=settings.last_s,
    )


def runner(backing: Backing, process: ProcessPlugin | None, name: str) -> Runner:
    """Return a new incarnation of the runner of this name."""
    settings = backing.settings
    return Runner(
        log=backing.log,
        blobs=backing.blobs,
        clock=backing.clock,
        settings=settings.runner.model_copy(update={"name": name}),
        incarnation=secrets.token_hex(4),
        process=process,
        inline_limit=settings.inline_limit_bytes,
        report_delay_s=settings.process.report_delay_ms / 1000,
        look_ups=LookUps(
            catalog=Catalog(backing.pool, backing.log, settings.cache),
            blobs=backing.blobs,
            poll_s=settings.cache.poll_s,
            clock=backing.clock,
        ),
    )


def sweeper(backing: Backing) -> Sweeper:
    """Return what deletes by age, and sweeps up after deletions."""
    return Sweeper(
        log=backing.log,
        pool=backing.pool,
        blobs=backing.blobs,
        clock=backing.clock,
        settings=backing.settings.retention,
    )


async def warm_up(process: ProcessPlugin) -> None:
    """Start a first template ahead of time; tasks tell the same trouble, with logs."""
    try:
        await process.warm_up()
    except OSError as error:
        log_.warning("no_warm_template", error=str(error))


def relay(store: EventStore, log: Log) -> RegistryRelay:
    """Build what copies the registry's events to the log."""
    return RegistryRelay(store=store, log=log)


def redriving(log: Letters, clock: Clock) -> Redrive:
    """Return what puts dead letters back, for commands beside an engine."""
    redriver = Redriver(log=log, now_us=clock.now_us)

    async def redrive(asked: Asked) -> Mapping[str, Any]:
        done = await redriver.redrive(asked.streams, asked.letters, asked.principal)
        found: dict[str, Any] = msgspec.to_builtins(done)
        return found

    return redrive
