"""The roles of a cluster: what each of its processes runs, wired as in production."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from domain.execution.context import Limits
from domain.graph import Definition
from gateway.bootstrap.components import propellers, runners
from infra.clock import SYSTEM_CLOCK
from infra.eventlog.kafka.log import KafkaLog
from infra.newer_messages import NOTHING_NEWER
from infra.retry import retry_transient
from schemas.envelope import Envelope
from schemas.levels import FORMAT_LEVEL
from schemas.messages.commands import CreateExecution
from schemas.values import Blob
from tests.support.catalogs import MemoryCatalog
from tests.support.cluster.tasks import TimedTasks
from tests.support.engine import created_by
from workers.operations.kafka_trimmer import KafkaTrimmer
from workers.propeller import restore as restoring
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.loading.admission import Admission
from workers.propeller.loading.execution_loader import ExecutionLoader
from workers.propeller.partitions import Partitions
from workers.propeller.stream_kinds import STREAM_KINDS

if TYPE_CHECKING:
    from tests.support.cluster.cluster import Cluster

Main = Callable[["Cluster", str, asyncio.Event], Coroutine[Any, Any, None]]
SLOTS = 4
_TRIM_S = 2.0


@dataclass(frozen=True, slots=True)
class Registry:
    """Admits everything: the graph of an execution is known by its name."""

    definition: Callable[[str], Definition]
    check: Callable[[CreateExecution], None]

    async def admit(
        self, command: CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Return the first event of the execution that is asked for."""
        self.check(command)
        first = created_by(command, envelope, now_us)
        return Admission(first, self.definition(command.name))

    async def load(self, blob: Blob) -> Definition:
        """Return the graph of an execution."""
        return self.definition(blob.uri)


_GATE = SimpleNamespace(
    level=FORMAT_LEVEL,
    find=NOTHING_NEWER.find,
    has_reader=NOTHING_NEWER.has_reader,
)
"""All processes are of this version."""


async def opened(cluster: Cluster, name: str) -> KafkaLog:
    """Return the log of a process, once the broker answers."""
    settings = cluster.settings_of(name)
    log = cluster.logs[name] = KafkaLog(settings.kafka, settings.log)
    await retry_transient(log.open, "start_delayed")
    return log


async def propeller(cluster: Cluster, name: str, stop: asyncio.Event) -> None:
    """Serve the partitions that fall to this process."""
    settings = cluster.settings_of(name)
    log = await opened(cluster, name)
    registry = Registry(cluster.definition, cluster.admit)
    loader = ExecutionLoader(
        log=log, definitions=registry, admission=registry, limits=Limits()
    )
    adapters: Any = SimpleNamespace(
        settings=settings,
        log=log,
        clock=SYSTEM_CLOCK,
        gate=_GATE,
    )
    kinds = STREAM_KINDS.with_loaders({EXECUTIONS.prefix: loader})
    partitions = Partitions(
        log,
        lambda: propellers._propeller(adapters, kinds, None),
        partial(restoring.restore, log),
    )
    cluster.propellers[name] = partitions
    await partitions.run(stop)
    await log.close()


async def runner(cluster: Cluster, name: str, stop: asyncio.Event) -> None:
    """Run tasks that take virtual time."""
    settings = cluster.settings_of(name)
    log = await opened(cluster, name)
    adapters: Any = SimpleNamespace(
        settings=settings,
        log=log,
        pool=None,
        blobs=cluster.blobs,
        clock=SYSTEM_CLOCK,
        gate=_GATE,
    )
    plugin: Any = TimedTasks(cluster.runs, asyncio.Semaphore(SLOTS))
    running = runners.runner(adapters, plugin, name)
    running.cache_lookups = dataclasses.replace(
        running.cache_lookups, catalog=MemoryCatalog()
    )
    await running.run(stop)
    await log.close()


async def trimmer(cluster: Cluster, name: str, stop: asyncio.Event) -> None:
    """Delete what is handled once it is old: in seconds, not days."""
    log = await opened(cluster, name)
    kafka = cluster.settings_of(name).kafka
    trimming = KafkaTrimmer(
        log=log, clock=SYSTEM_CLOCK, retention_s=kafka.retention_s, interval_s=_TRIM_S
    )
    await until_stopped(trimming.run(), stop)
    await log.close()


async def until_stopped(main: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Run something that has no end; raises what it fails by."""
    running, stopping = asyncio.create_task(main), asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, stopping):
        task.cancel()
    await asyncio.wait({running, stopping})
    if not running.cancelled():
        await running


ROLES: dict[str, Main] = {
    "propeller": propeller,
    "runner": runner,
    "trimmer": trimmer,
}
