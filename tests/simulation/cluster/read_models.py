"""Scenarios of read models on a real Postgres: projectors that join, deletion.

Each returns what is wrong, for a seed: nothing, if all is well.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from schemas.ids import child_execution_name
from schemas.messages.commands import DeleteExecution, TerminateExecution
from tests.simulation.cluster.leases import wrong
from tests.simulation.cluster.log_faults import started, to_the_end
from tests.support.cluster.cluster import Cluster, stream_of
from tests.support.cluster.faults import Faults
from tests.support.cluster.graphs import only_child, single
from tests.support.cluster.read_models import differences
from tests.support.components.postgres import migrated_database

SLOW_S = 5.0
"""How long one of the projectors waits for a connection."""
ROUNDS, JOINING_S, QUIET_S = 3, (2.0, 8.0), 20.0
PARTITIONS = (0, 1)
"""Partitions of events; the second one falls to the projector that joins."""
APPLIED_S = 40.0
FAULTS = 10


async def projector_joins(seed: int, folder: Path) -> list[str]:
    """Projectors join and leave after bursts of events; one has slow commits."""
    database = migrated_database()
    roles = {"propeller": 1, "runner": 1, "projector": 1}
    async with started(seed, folder, roles, database=database) as cluster:
        cluster.parent, cluster.runs.durations_s = single(), (QUIET_S,)
        [slow] = cluster.of("projector")
        cluster.database_delays_s[slow.name] = SLOW_S
        names = [cluster.names_in(number, ROUNDS) for number in PARTITIONS]
        for burst in zip(*names, strict=True):
            await asyncio.gather(*map(cluster.create, burst))
            await asyncio.sleep(cluster.draw.uniform(*JOINING_S))
            joined = cluster.spawn("projector")
            await asyncio.sleep(cluster.draw.uniform(*JOINING_S))
            await cluster.leave(joined)
        found = await to_the_end(cluster)
        cluster.database_delays_s.clear()
        await asyncio.sleep(APPLIED_S)
        return [*found, *await differences(cluster)]


async def projectors_in_a_storm(seed: int, folder: Path) -> list[str]:
    """Projectors are killed, frozen, replaced and added at any await."""
    database = migrated_database()
    roles = {"propeller": 1, "runner": 1, "projector": 2}
    async with started(seed, folder, roles, database=database) as cluster:
        kinds = ("kill", "replace", "freeze", "leave", "join")
        faults = Faults(cluster, kinds, role="projector")
        injecting = asyncio.create_task(faults.inject(FAULTS))
        for number in range(4):
            await cluster.create(f"e{number}")
            await asyncio.sleep(4)
        await injecting
        found = await to_the_end(cluster)
        await asyncio.sleep(APPLIED_S)
        return [*found, *await differences(cluster)]


async def parent_deleted_first(seed: int, folder: Path) -> list[str]:
    """A parent is aborted and deleted before its child is created."""
    database = migrated_database()
    roles = {"propeller": 2, "runner": 1, "projector": 1, "sweeper": 1}
    more = {"retention": {"interval_s": 0.5}}
    async with started(seed, folder, roles, more=more, database=database) as cluster:
        cluster.parent = only_child()
        name, child = _apart(cluster)
        away = cluster.owner_of(cluster.partition_of(child))
        assert away is not None
        away.process.freeze()
        stream = await cluster.create(name, {"phase": "ABORTED"})
        await _until_event(cluster, "ChildRequested", stream)
        stop = TerminateExecution(cause="enough", principal="c")
        await cluster.send(stream, stop, f"{stream}/stop")
        await cluster.until(lambda: not cluster.under_way(), 30)
        await cluster.send(stream, DeleteExecution(), f"{stream}/delete")
        await asyncio.sleep(cluster.draw.uniform(1, 3))
        away.process.thaw()
        await asyncio.sleep(APPLIED_S)
        left = cluster.kinds(child)
        found = (
            [] if left[-1:] == ["ExecutionDeleted"] else [f"{child} is left: {left}"]
        )
        return [*wrong(cluster), *found]


def _apart(cluster: Cluster) -> tuple[str, str]:
    """Return the name of an execution and its child's stream, which others own."""
    for number in range(100):
        name = f"e{number}"
        stream = stream_of(name)
        child = stream_of(child_execution_name(name, "n1", 0))
        owners = [cluster.owner_of(cluster.partition_of(s)) for s in (stream, child)]
        if owners[0] is not owners[1]:
            return name, child
    raise AssertionError("one propeller owns all")


async def _until_event(cluster: Cluster, kind: str, stream: str) -> None:
    assert await cluster.until(lambda: kind in cluster.kinds(stream), 10, 0.02)
