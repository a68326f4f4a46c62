"""Several processes of each role, faults at any await: nothing lost, stuck, doubled.

A seed says all of a run if Python's hashes are fixed, as `make test` does it:
`PYTHONHASHSEED=0 .venv/bin/python -m pytest tests/simulation/cluster -k 3`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.simulation.seeds import seeds
from tests.support.cluster.cluster import Cluster
from tests.support.cluster.faults import Faults
from tests.support.memory_kafka.install import memory_broker
from tests.support.virtual.loop import run

EXECUTIONS, FAULTS = 5, 20
ENDING_S = 300.0
KINDS = ("kill", "freeze", "leave", "join", "jump")


async def quiet(seed: int, folder: Path) -> Cluster:
    """Run executions one after the other, without faults."""
    with memory_broker() as broker:
        cluster = Cluster(seed, broker, folder)
        await cluster.start(propeller=2, runner=2)
        await cluster.settle()
        for number in range(3):
            await cluster.create(f"e{number}")
        await cluster.until(lambda: not cluster.under_way(), ENDING_S)
        return cluster


async def storm(seed: int, folder: Path) -> Cluster:
    """Run executions under faults; then let what is under way end."""
    with memory_broker() as broker:
        cluster = Cluster(seed, broker, folder)
        await cluster.start(propeller=2, runner=2)
        injecting = asyncio.create_task(Faults(cluster, KINDS).inject(FAULTS))
        for number in range(EXECUTIONS):
            await cluster.create(f"e{number}")
            await asyncio.sleep(4)
        await injecting
        await cluster.until(lambda: not cluster.under_way(), ENDING_S)
        return cluster


@pytest.mark.parametrize("seed", seeds(2))
def test_without_faults_each_task_runs_once(seed: int, tmp_path: Path) -> None:
    """All executions succeed, with the model's results; nothing is dispatched again."""
    cluster = run(quiet(seed, tmp_path))
    assert cluster.crashes == []
    assert cluster.wrong() == []
    assert [run.attempt for run in cluster.runs.all if run.dispatch_no] == []
    assert len(cluster.runs.all) == len({run.attempt for run in cluster.runs.all})


@pytest.mark.parametrize("seed", seeds(6))
def test_faults_lose_and_double_nothing(seed: int, tmp_path: Path) -> None:
    """Processes are killed, frozen, replaced and added at any await."""
    cluster = run(storm(seed, tmp_path))
    assert cluster.crashes == [], f"seed {seed}"
    assert cluster.wrong() == [], f"seed {seed}"


def test_a_failed_assertion_shows_a_line(tmp_path: Path) -> None:
    """Not all messages of a broker, of which each shows its partition again."""
    cluster = run(quiet(0, tmp_path))
    assert repr(cluster) == "Cluster(0)"
    assert len(repr((cluster.broker, cluster.nodes, cluster.broker.topics))) < 10_000


def test_a_seed_says_all_of_a_run(tmp_path: Path) -> None:
    """The same seed, the same events at the same times."""
    runs = [run(storm(1, tmp_path / name)) for name in ("one", "two")]
    one, two = ([(e["id"], e["time"]) for e in found.events()] for found in runs)
    assert one == two
