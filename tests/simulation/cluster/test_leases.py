"""Leases and runners in virtual time: silence really elapses, processes freeze."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from schemas import topics
from schemas.messages import commands as c
from schemas.wire import codec
from tests.simulation.cluster import leases
from tests.simulation.cluster.leases import LATE_S, TIMEOUT_S, Scenario, played, wrong
from tests.simulation.seeds import seeds
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.graphs import single
from tests.support.virtual.loop import run

UNHARMED = (
    leases.everything_stands_still,
    leases.propellers_stand_still,
    leases.clocks_jump,
    leases.runners_join,
    leases.owners_change,
)


@pytest.mark.parametrize("seed", seeds(2))
@pytest.mark.parametrize("scenario", UNHARMED, ids=lambda one: one.__name__)
def test_no_healthy_task_is_run_again(
    scenario: Scenario, seed: int, tmp_path: Path
) -> None:
    """Nothing that holds up, moves or restarts others costs a runner its tasks."""
    assert run(leases.unharmed(scenario, seed, tmp_path)) == [], f"seed {seed}"


@pytest.mark.parametrize("seed", seeds(2))
def test_owners_that_stand_still_lose_nobody(seed: int, tmp_path: Path) -> None:
    """They stay the owners, and have heard no runner for long when they go on."""
    assert run(leases.owners_stand_still(seed, tmp_path)) == [], f"seed {seed}"


@pytest.mark.parametrize("seed", seeds(4))
def test_a_runner_that_loses_is_stopped(seed: int, tmp_path: Path) -> None:
    """Frozen for long, it goes on with what others run: not for long."""
    assert run(leases.losers(seed, tmp_path)) == [], f"seed {seed}"


@pytest.mark.parametrize("seed", seeds(2))
def test_a_runner_unknown_to_the_new_owner_is_noticed(
    seed: int, tmp_path: Path
) -> None:
    """It dies together with every owner that has heard it."""
    assert run(leases.unknown_runner(seed, tmp_path)) == [], f"seed {seed}"


@pytest.mark.parametrize("seed", seeds(2))
def test_a_lost_runner_takes_no_time_of_the_next(seed: int, tmp_path: Path) -> None:
    """A task that is dispatched again may run as long as the first time."""
    assert run(leases.time_limits(seed, tmp_path)) == [], f"seed {seed}"


@pytest.mark.parametrize("seed", seeds(2))
def test_a_dead_runner_is_noticed_in_time(seed: int, tmp_path: Path) -> None:
    """Also by owners that never heard it; never before its timeout."""
    times: list[float] = []

    async def dies(cluster: Cluster) -> None:
        node = cluster.of("runner")[0]
        del cluster.nodes[node.name]
        times.append(_last_heartbeat_s(cluster, node.name))
        cluster.kill(node)
        await asyncio.sleep(TIMEOUT_S + LATE_S)

    cluster = run(played(seed, tmp_path, dies, (60.0,), single()))

    assert wrong(cluster) == [], f"seed {seed}"
    again = [run.began_s for run in cluster.runs.all if run.dispatch_no == 1]
    assert again, f"seed {seed}"
    assert min(again) >= times[0] + TIMEOUT_S, f"seed {seed}"
    assert min(again) <= times[0] + TIMEOUT_S + LATE_S, f"seed {seed}"


def _last_heartbeat_s(cluster: Cluster, runner: str) -> float:
    """Return when a runner's last heartbeat was sent, in the time of the world."""
    now_us, loop_s = 0, asyncio.get_running_loop().time()
    for record in cluster.records(topics.COMMANDS):
        message = codec.decode(record.body)
        if isinstance(message, c.Heartbeat) and message.runner == runner:
            now_us = max(now_us, message.occurred_at_us)
    start_us = cluster.broker.now_ms() * 1000 - round(loop_s * 1_000_000)
    return (now_us - start_us) / 1_000_000
