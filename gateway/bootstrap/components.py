"""The parts of an engine, built the same way for one process or several."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import structlog

from domain.execution.context import Limits
from domain.snapshots import ChunkLimits
from gateway.bootstrap.adapters import Adapters
from gateway.executions.task_logs import log_url
from gateway.services.container import Services
from gateway.services.redrive import Redrive, RedriveBody
from gateway.services.submit import Submit
from infra.blobs.files import Blobs
from infra.blobs.s3 import SCHEME, task_variables
from infra.blobs.signing import Signer
from infra.blobs.store import links
from infra.blobs.waiting import WaitingBlobs
from infra.clock import Clock
from infra.eventlog.contract import Log
from infra.eventlog.event_store import EventStore
from infra.held_messages import HeldMessages
from infra.postgres.pool import Pool
from infra.setting_sections.executions import SnapshotSettings
from infra.settings import Settings
from infra.task_environment import task_environment
from projections.queries.catalog import Catalog
from schemas.messages.dispatches import RunTask
from workers.operations.redrive import DeadLetterLog, Redriver
from workers.operations.registry_relay import RegistryRelay
from workers.operations.retention import Sweeper
from workers.plugins.process.plugin import ProcessPlugin
from workers.propeller import loop as propellers
from workers.propeller.backpressure import ProjectionLagThrottle
from workers.propeller.kinds.contract import ClosedStreamIndex
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.leases import Leases
from workers.propeller.loading.admission import AdmissionLoader
from workers.propeller.loading.definition_cache import DefinitionCache
from workers.propeller.loading.execution_loader import ExecutionLoader
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.loop import Propeller
from workers.propeller.partitions import Partitions, Restore
from workers.propeller.snapshots import Cadence, Snapshots
from workers.propeller.stream_kinds import STREAM_KINDS, StreamKinds
from workers.runner.cache_lookup import CacheLookups
from workers.runner.dynamic_compiler import DynamicCompiler
from workers.runner.loop import Runner

log_ = structlog.get_logger(__name__)

_SECOND_US = 1_000_000


def process_plugin(
    settings: Settings, folder: Path, pool: Pool, blobs: Blobs
) -> ProcessPlugin | None:
    """Return the process plugin; None if the settings choose another one.

    Code bundles are unpacked below the folder. Links to logs are paths: which URL is
    before them, the gateway knows that shows them.
    """
    if settings.plugin != "process":
        return None

    def url(dispatch: RunTask) -> str:
        return log_url("", dispatch.execution, dispatch.node_id, dispatch.attempt)

    waiting = WaitingBlobs(blobs)
    return ProcessPlugin(
        settings=settings.process,
        blobs=waiting,
        folder=folder,
        base_env=task_environment(settings)
        | (task_variables(settings.s3) if blobs.root.startswith(SCHEME) else {}),
        log_url=url,
        inline_limit=settings.inline_bytes_max,
        output_bytes_max=settings.runner.output_bytes_max,
        dynamic_compiler=DynamicCompiler(
            pool, waiting, settings.runner.output_bytes_max
        ),
    )


def partitions(
    adapters: Adapters,
    restore: Restore,
    closed: ClosedStreamIndex | None = None,
    applied: Callable[[], int] | None = None,
    own_runner: str = "",
) -> Partitions:
    """Return the propellers of owned partitions, restored in the given way.

    Closed streams that left the memory are looked up in `closed`, or else on the log.
    `applied` counts the events that a projector of the same process has applied: the
    propeller waits when it is too far ahead of it. `own_runner` is the name of a runner
    of the same process.
    """
    loaders = {EXECUTIONS.prefix: _execution_loader(adapters, closed)}
    kinds = STREAM_KINDS.with_loaders(loaders)
    return Partitions(
        adapters.log,
        lambda: _propeller(adapters, kinds, applied, own_runner),
        restore,
        adapters.clock,
    )


def _propeller(
    adapters: Adapters,
    kinds: StreamKinds,
    applied: Callable[[], int] | None,
    own_runner: str = "",
) -> Propeller:
    settings = adapters.settings
    return Propeller(
        kinds=kinds,
        streams=StreamCache(adapters.log, kinds, settings.propeller.closed_streams_max),
        leases=Leases(settings.propeller.runner_timeout_s, own=own_runner),
        clock=adapters.clock,
        bounds=propellers.Bounds(
            commands_max=settings.log.batch_max,
            records_max=settings.log.records_max,
            bytes_max=settings.log.bytes_max,
        ),
        snapshots=Snapshots(_cadence(settings.snapshots), adapters.clock),
        format_level=lambda: adapters.gate.level,
        held=HeldMessages(newer=adapters.gate, clock=adapters.clock),
        throttle=ProjectionLagThrottle(applied, clock=adapters.clock),
    )


def _execution_loader(
    adapters: Adapters, closed: ClosedStreamIndex | None
) -> ExecutionLoader:
    settings = adapters.settings
    definitions = DefinitionCache(adapters.blobs, settings.propeller.definitions_max)
    return ExecutionLoader(
        log=adapters.log,
        definitions=definitions,
        admission=AdmissionLoader(
            log=adapters.log,
            pool=adapters.pool,
            blobs=adapters.blobs,
            definitions=definitions,
            domains=settings.domains,
            max_parallelism=settings.admission.max_parallelism,
            inline_bytes_max=settings.inline_bytes_max,
            input_bytes_max=settings.propeller.input_bytes_max,
        ),
        limits=_limits(settings),
        closed=closed,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        system_retries=settings.propeller.system_retries,
        redispatches=settings.propeller.redispatches,
        inline_bytes=settings.inline_bytes_max,
        inline_budget=settings.inline_budget_bytes,
        array_elements=settings.propeller.array_concurrency,
        execution_timeout_us=_us(settings.propeller.execution_timeout_s) or None,
        system_backoff_us=_us(settings.propeller.system_backoff_s),
        user_backoff_us=_us(settings.propeller.user_backoff_s),
        backoff_max_us=_us(settings.propeller.backoff_max_s),
        memory_factor=settings.propeller.oom_memory_factor,
    )


def _us(seconds: float) -> int:
    return round(seconds * _SECOND_US)


def _cadence(settings: SnapshotSettings) -> Cadence:
    return Cadence(
        interval_s=settings.interval_s,
        commit_bytes=settings.commit_bytes,
        chunk_limits=ChunkLimits(
            items_max=settings.chunk_nodes_max, bytes_max=settings.chunk_bytes_max
        ),
        shutdown_timeout_s=settings.shutdown_timeout_s,
    )


def runner(adapters: Adapters, process: ProcessPlugin | None, name: str) -> Runner:
    """Return a runner of this name, with a new incarnation."""
    settings = adapters.settings
    return Runner(
        log=adapters.log,
        blobs=WaitingBlobs(adapters.blobs, adapters.clock),
        clock=adapters.clock,
        settings=settings.runner.model_copy(update={"name": name}),
        incarnation=secrets.token_hex(4),
        process=process,
        inline_limit=settings.inline_bytes_max,
        report_delay_s=settings.process.report_delay_ms / 1000,
        cache_lookups=CacheLookups(
            catalog=Catalog(adapters.pool, adapters.log, settings.cache),
            blobs=adapters.blobs,
            poll_s=settings.cache.poll_interval_s,
            clock=adapters.clock,
        ),
        timeout_s=settings.propeller.runner_timeout_s,
        format_level=lambda: adapters.gate.level,
    )


def sweeper(adapters: Adapters) -> Sweeper:
    """Return the sweeper: it deletes by age, and the blobs of what was deleted."""
    return Sweeper(
        log=adapters.log,
        pool=adapters.pool,
        blobs=adapters.blobs,
        clock=adapters.clock,
        settings=adapters.settings.retention,
    )


async def warm_up(process: ProcessPlugin) -> None:
    """Start a first template early; if it fails, tasks report the error themselves."""
    try:
        await process.warm_up()
    except OSError as error:
        log_.warning("template_not_started", error=str(error))


def relay(store: EventStore, log: Log) -> RegistryRelay:
    """Return the relay that copies the registry's events to the log."""
    return RegistryRelay(store=store, log=log)


def redrive_request_handler(log: DeadLetterLog, clock: Clock) -> Redrive:
    """Return the handler of redrive requests to a running engine."""
    redriver = Redriver(log=log, clock=clock)

    async def redrive(body: RedriveBody) -> Mapping[str, Sequence[str]]:
        done = await redriver.redrive(body.streams, body.dead_letters, body.principal)
        outcomes: dict[str, list[str]] = msgspec.to_builtins(done)
        return outcomes

    return redrive


def services(adapters: Adapters, store: EventStore, url: str) -> Services:
    """Return what the gateway's handlers are given; `url` is what links begin with."""
    settings = adapters.settings
    signer = Signer(adapters.data.secret(), url)
    return Services(
        settings=settings,
        clock=adapters.clock,
        pool=adapters.pool,
        blobs=adapters.blobs,
        signer=signer,
        links=links(settings, adapters.blobs, signer, adapters.clock.now_us),
        store=store,
        log=adapters.log,
        submit=Submit(adapters.log, adapters.pool, settings.gateway.command_timeout_s),
        redrive=redrive_request_handler(adapters.log, adapters.clock),
    )
