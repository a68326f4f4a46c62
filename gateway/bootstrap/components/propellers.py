"""Builds the propellers of owned partitions, and the sweeper beside them."""

from __future__ import annotations

from collections.abc import Callable

from domain.execution.context import Limits
from domain.snapshots import ChunkLimits
from gateway.bootstrap.adapters import Adapters
from gateway.services.reachable import reachable_channels
from infra.held_messages import HeldMessages
from infra.setting_sections.executions import SnapshotSettings
from infra.settings import Settings
from workers.operations.retention import Sweeper
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

_SECOND_US = 1_000_000


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
            reachable=reachable_channels(settings.notify),
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


def sweeper(adapters: Adapters) -> Sweeper:
    """Return the sweeper: it deletes by age, and the blobs of what was deleted."""
    return Sweeper(
        log=adapters.log,
        pool=adapters.pool,
        blobs=adapters.blobs,
        clock=adapters.clock,
        settings=adapters.settings.retention,
    )
