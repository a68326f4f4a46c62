"""A growing execution: cost per event, latency during compilation, a rebuild."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from infra.eventlog.postgres.log import PostgresLog
from infra.postgres.embedded_server import PostgresServer
from infra.postgres.pool import open_pool
from infra.setting_sections.storage import LogSettings
from projections.projector.projector import rebuild
from tests.bench.engines import client_of, engine, timed
from tests.bench.figure import Figure
from tests.support import raw
from tests.support.harness.engine_process import Running

SIZES = (100, 1_000, 10_000, 50_000)
BASE = 1_000
SAME_WORK = 50_000  # nodes
WIDTH = 20
_LIMIT_S = 1800


def cost_by_size(folder: Path, quick: bool) -> list[Figure]:
    """Measure time and bytes for each event, then registration and a rebuild."""
    sizes = SIZES[:3] if quick else SIZES
    figures: list[Figure] = []
    with engine(folder, "size") as running:
        client = client_of(running)
        raw.register_layers(client, "warm", layers=5, width=WIDTH)
        timed(client, "warm", "warm")
        costs = {size: _cost(running, client, size, figures) for size in sizes}
    ratio = costs[sizes[-1]] / costs[BASE]
    what = f"an event at {sizes[-1]:,} nodes ÷ one at {BASE:,}"
    figures.append(Figure(what, ratio, "×", 1.2))
    rate = asyncio.run(_rebuilt(running.data_dir))
    what = "projection rebuild"
    figures.append(Figure(what, rate, "events/s", 5_000, 20_000, more=True))
    return figures


def _cost(running: Running, client: Any, size: int, figures: list[Figure]) -> float:
    """Return microseconds for each event of one execution of so many nodes."""
    plan = f"size{size}"
    began = time.monotonic()
    with _health_watched(running) as slowest:
        raw.register_layers(client, plan, layers=size // WIDTH, width=WIDTH)
        registered = time.monotonic() - began
    # As much work at each size: what Postgres does from time to time (checkpoints,
    # vacuum) falls into a long run, and between the short ones.
    tries = min(50, SAME_WORK // size)
    took = statistics.fmean(
        timed(client, plan, f"{plan}-{i}", _LIMIT_S) for i in range(tries)
    )
    events, stored = _stored(running, f"{plan}-0")
    cost = took / events * 1e6
    figures += [
        Figure(f"registration, {size:,} nodes", registered, "s"),
        Figure(f"slowest /healthz meanwhile, {size:,} nodes", slowest[0], "s"),
        Figure(f"time for each event, {size:,} nodes", cost, "us"),
        Figure(f"bytes for each event, {size:,} nodes", stored / events, "B"),
    ]
    return cost


@contextmanager
def _health_watched(running: Running) -> Iterator[list[float]]:
    """Let another process ask for health all the time; tell its longest wait.

    Another process, because this one is busy with large messages itself.
    """
    watcher = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.health", running.http],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watcher.stdout is not None
    watcher.stdout.readline()
    slowest: list[float] = []
    try:
        yield slowest
    finally:
        told, _ = watcher.communicate(timeout=30)
        slowest.append(float(told))


def _stored(running: Running, name: str) -> tuple[int, int]:
    stream = f"execution/{raw.PROJECT}/{raw.DOMAIN}/{name}"
    with psycopg.connect(running.postgres()) as conn:
        row = conn.execute(
            "SELECT count(*), sum(octet_length(state)) FROM flightlog_log "
            "WHERE originator_id = %s",
            (stream,),
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def _rebuilt(data_dir: Path) -> float:
    """Return events a second of a rebuild of every view, the engine being down."""
    server = PostgresServer(data_dir / "postgres")
    url = await asyncio.to_thread(server.start)
    try:
        log, pool = PostgresLog(url, LogSettings()), await open_pool(url)
        await log.open()
        try:
            began = time.monotonic()
            return await rebuild(log, pool) / (time.monotonic() - began)
        finally:
            await log.close()
            await pool.close()
    finally:
        await asyncio.to_thread(server.stop)
