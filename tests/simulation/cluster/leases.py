"""Scenarios of leases: what becomes of tasks while processes freeze, die and join.

Each returns what is wrong, for a seed: nothing, if all is well.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from domain.graph import Definition
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.faults import freeze_all
from tests.support.cluster.graphs import single
from tests.support.memory_kafka.install import memory_broker

TIMEOUT_S = 10.0
LATE_S = 2.0
ENDING_S = 300.0
EXECUTIONS = 4
LONG_S = (6.0, 40.0)
LIMIT_S, WITHIN_LIMIT_S = 32, 26.0

Scenario = Callable[[Cluster], Coroutine[Any, Any, None]]
Found = Coroutine[Any, Any, list[str]]


async def played(
    seed: int,
    folder: Path,
    scenario: Scenario,
    durations: tuple[float, ...] = LONG_S,
    graph: Definition | None = None,
    session_s: float = 6.0,
) -> Cluster:
    """Run executions of tasks that take long through a scenario, to their end.

    Who is silent for the time of a session is no member of its group any more.
    """
    with memory_broker() as broker:
        more = {"kafka": {"session_timeout_s": session_s}}
        cluster = Cluster(seed, broker, folder, more)
        cluster.runs.durations_s = durations
        cluster.parent = graph or cluster.parent
        await cluster.start(propeller=2, runner=2)
        await cluster.settle()
        for number in range(EXECUTIONS):
            await cluster.create(f"e{number}")
        await asyncio.sleep(cluster.draw.uniform(3, 8))
        await scenario(cluster)
        await cluster.until(lambda: not cluster.under_way(), ENDING_S)
        return cluster


def wrong(cluster: Cluster) -> list[str]:
    """Return what is wrong with a cluster's history, and who has crashed."""
    crashed = [f"{name} crashed: {error!r}" for name, error in cluster.crashes]
    return [*crashed, *cluster.wrong()]


async def unharmed(
    scenario: Scenario, seed: int, folder: Path, session_s: float = 6.0
) -> list[str]:
    """Find tasks that were run again though nobody had lost them."""
    cluster = await played(seed, folder, scenario, session_s=session_s)
    counts = Counter(run.attempt for run in cluster.runs.all)
    doubled = sorted(attempt for attempt, count in counts.items() if count > 1)
    return [*wrong(cluster), *(f"{attempt} was run again" for attempt in doubled)]


async def owners_stand_still(seed: int, folder: Path) -> list[str]:
    """Find tasks that were lost while their owners, who stay, heard nobody."""
    return await unharmed(propellers_stand_still, seed, folder, 8 * TIMEOUT_S)


async def everything_stands_still(cluster: Cluster) -> None:
    """A laptop sleeps for far longer than a runner may be silent."""
    await freeze_all(list(cluster.nodes.values()), 4 * TIMEOUT_S)


async def propellers_stand_still(cluster: Cluster) -> None:
    """Runners are well, and nobody counts."""
    await freeze_all(cluster.of("propeller"), 4 * TIMEOUT_S)


async def clocks_jump(cluster: Cluster) -> None:
    """Both ways, on every machine, one after the other."""
    for jump_s in (60, -60, 86_400, -86_400):
        for node in cluster.nodes.values():
            node.process.clock_us += jump_s * 1_000_000
        await asyncio.sleep(3)


async def runners_join(cluster: Cluster) -> None:
    """Partitions of dispatches move while tasks wait for slots."""
    for _ in range(2):
        cluster.spawn("runner")
        await asyncio.sleep(cluster.draw.uniform(4, 9))


async def owners_change(cluster: Cluster) -> None:
    """Every partition gets an owner that has heard no runner yet."""
    for node in list(cluster.of("propeller")):
        cluster.kill(node)
        cluster.spawn("propeller", node.name)
        await asyncio.sleep(cluster.draw.uniform(1, 3))


async def one_runner_dies(cluster: Cluster) -> None:
    """Its tasks are given to the other."""
    node = cluster.of("runner")[0]
    del cluster.nodes[node.name]
    cluster.kill(node)
    await asyncio.sleep(TIMEOUT_S + LATE_S)


async def runner_and_owners_die(cluster: Cluster) -> None:
    """A runner dies together with every owner that has heard it."""
    runner = cluster.of("runner")[0]
    del cluster.nodes[runner.name]
    cluster.kill(runner)
    await owners_change(cluster)


async def unknown_runner(seed: int, folder: Path) -> list[str]:
    """Find executions that wait for a runner which no owner has heard."""
    scenario = runner_and_owners_die
    return wrong(await played(seed, folder, scenario, (30.0,), single()))


async def time_limits(seed: int, folder: Path) -> list[str]:
    """Find tasks that fail by the time which a lost runner took."""
    durations, graph = (WITHIN_LIMIT_S,), single(LIMIT_S)
    return wrong(await played(seed, folder, one_runner_dies, durations, graph))


async def losers(seed: int, folder: Path) -> list[str]:
    """Find runs that go on after their runner was frozen, and others got its tasks."""
    thawed: list[float] = []

    async def one_is_frozen(cluster: Cluster) -> None:
        await freeze_all(cluster.of("runner")[:1], 3 * TIMEOUT_S)
        thawed.append(asyncio.get_running_loop().time())

    cluster = await played(seed, folder, one_is_frozen, (40.0, 60.0), single())
    return [*wrong(cluster), *_not_stopped(cluster, thawed[0] + LATE_S)]


def _not_stopped(cluster: Cluster, until_s: float) -> list[str]:
    lost = sorted({run.attempt for run in cluster.runs.all if run.dispatch_no})
    assert lost, "the frozen runner had no tasks"
    found = []
    for attempt in lost:
        *older, newest = sorted(cluster.runs.of(attempt), key=lambda r: r.dispatch_no)
        if newest.is_aborted:
            found.append(f"{attempt}: who got it was stopped")
        for run in older:
            if not run.is_aborted:
                found.append(f"{attempt}: ran to its end twice")
            elif run.ended_s is None or run.ended_s > until_s:
                found.append(f"{attempt}: was stopped late")
    return found
