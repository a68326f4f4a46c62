"""The cases: each starts engines of its own and measures them from a client's side."""

from __future__ import annotations

import concurrent.futures as cf
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.bench.machine import pss_mb
from tests.support import raw
from tests.support.running import Running

CLIENTS = 16
EXECUTIONS = 500
SIZES = (100, 1_000, 10_000, 50_000)
EVENTS_A_TASK = 7
CHAIN = 40
LOOK_S = 0.02


@dataclass(frozen=True)
class Figure:
    """One number, and what it must and should reach."""

    what: str
    value: float
    unit: str
    must: str = ""
    aim: str = ""
    comparison: str = ""


@contextmanager
def engine(folder: Path, name: str, plugin: str = "echo") -> Iterator[Running]:
    """Run a fresh engine."""
    running = Running(folder / name, plugin=plugin)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def client_of(running: Running) -> Any:
    """Return flytekit's own client."""
    return SynchronousFlyteClient(
        PlatformConfig(endpoint=running.endpoint, insecure=True)
    )


def timed(client: Any, plan: str, name: str, limit_s: float = 600) -> float:
    """Return the seconds from the create call to the end seen by polling."""
    began = time.monotonic()
    raw.create(client, plan, name)
    phase = raw.wait(client, name, limit_s, poll_s=0.01)
    if phase != "SUCCEEDED":
        raise RuntimeError(f"{name} ended {phase}")
    return time.monotonic() - began


def median_of(client: Any, plan: str, tries: int) -> float:
    """Return the median of several runs, after one that warms up."""
    name = plan.replace(".", "-").replace("_", "-")
    timed(client, plan, f"{name}-warm")
    return statistics.median(timed(client, plan, f"{name}-{i}") for i in range(tries))


def echo_chains(folder: Path, quick: bool) -> list[Figure]:
    """Forty echo tasks in a row, and side by side."""
    tries = 1 if quick else 5
    with engine(folder, "echo") as running:
        client = client_of(running)
        raw.register_layers(client, "row", layers=CHAIN, width=1)
        raw.register_layers(client, "side", layers=1, width=CHAIN)
        row, side = median_of(client, "row", tries), median_of(client, "side", tries)
    flyte = "Flyte 2.3-2.8 s, Temporal 0.5-3.2 s"
    return [
        Figure("40 sequential echo tasks", row, "s", "1.2", "0.3", flyte),
        Figure("40 parallel echo tasks", side, "s", "0.6", "0.15", "Flyte 0.8-1.1 s"),
    ]


CHAIN_FLOW = f"""
from flytekit import task, workflow

@task
def t(a: int) -> int:
    return a + 1

@workflow
def chain(a: int) -> int:
    x = a
    for _ in range({CHAIN}):
        x = t(a=x)
    return x
"""


def python_chain(folder: Path, quick: bool) -> list[Figure]:
    """Forty Python tasks in a row, in warm processes."""
    project = folder / "project"
    project.mkdir()
    (project / "chain_flow.py").write_text(CHAIN_FLOW)
    with engine(folder, "python", "process") as running:
        subprocess.run(
            [
                str(Path(sys.executable).parent / "pyflyte"), "register",
                "-p", raw.PROJECT, "-d", raw.DOMAIN, "--version", raw.VERSION,
                "chain_flow.py",
            ],
            cwd=project, check=True, capture_output=True,
            env={
                **os.environ,
                "FLYTE_PLATFORM_URL": running.endpoint,
                "FLYTE_PLATFORM_INSECURE": "true",
            },
        )  # fmt: skip
        client = client_of(running)
        took = median_of(client, "chain_flow.chain", 1 if quick else 3)
    return [
        Figure("40 sequential Python tasks", took, "s", "3", "1.5", "Flyte 122-202 s")
    ]


def throughput(folder: Path, quick: bool) -> list[Figure]:
    """Many executions of one task, created by sixteen clients at once."""
    count = 100 if quick else EXECUTIONS
    with engine(folder, "many") as running:
        client = client_of(running)
        raw.register_layers(client, "one", layers=1, width=1)
        timed(client, "one", "one-warm")
        lags: list[float] = []
        stop = threading.Event()
        watcher = threading.Thread(target=_watch_lag, args=(running, lags, stop))
        watcher.start()
        began = time.monotonic()
        with cf.ThreadPoolExecutor(CLIENTS) as pool:
            names = list(
                pool.map(lambda i: raw.create(client, "one", f"one-{i}"), range(count))
            )
        created = time.monotonic() - began
        for name in names:
            raw.wait(client, name, 120, poll_s=0.02)
        took = time.monotonic() - began
        stop.set()
        watcher.join()
        tasks = _sustained_tasks(client, 10 if quick else 40)
    lags.sort()
    rate = count / took
    figures = [
        Figure("CreateExecution calls", count / created, "/s", "100", "400", "Flyte 24-41/s"),
        Figure("executions of one task", rate, "/s", "75", "230", "Flyte 10-16/s, DBOS 145-227/s"),
        Figure("tasks, many executions", tasks, "/s", "150", "350", "Temporal 44-138/s"),
    ]  # fmt: skip
    if lags:
        p50, p99 = lags[len(lags) // 2], lags[min(len(lags) - 1, len(lags) * 99 // 100)]
        figures += [
            Figure("fact decided to seen in Postgres, p50", p50, "s"),
            Figure("fact decided to seen in Postgres, p99", p99, "s", "2", "0.5"),
        ]
    return figures


def _sustained_tasks(client: Any, count: int) -> float:
    """Return tasks a second over executions of 5 chains of 5 echo tasks each."""
    raw.register_layers(client, "grid", layers=5, width=5)
    began = time.monotonic()
    names = [raw.create(client, "grid", f"grid-{i}") for i in range(count)]
    for name in names:
        raw.wait(client, name, 120, poll_s=0.02)
    return count * 25 / (time.monotonic() - began)


def _watch_lag(running: Running, lags: list[float], stop: threading.Event) -> None:
    """Look for the newest facts from a connection of our own, as a dashboard would."""
    newest = 0.0
    with psycopg.connect(running.postgres(), autocommit=True) as conn:
        conn.execute("CREATE INDEX IF NOT EXISTS journal_at ON journal (occurred_at)")
        while not stop.is_set():
            rows = conn.execute(
                "SELECT DISTINCT extract(epoch FROM occurred_at) FROM journal "
                "WHERE occurred_at > to_timestamp(%s)",
                (newest or time.time(),),
            ).fetchall()
            now = time.time()
            times = [float(row[0]) for row in rows]
            lags.extend(now - at for at in times)
            newest = max([newest or now, *times])
            time.sleep(LOOK_S)


def kill_to_progress(folder: Path, quick: bool) -> list[Figure]:
    """From kill -9 under load to the next fact, the start included."""
    tries = 1 if quick else 3
    gaps: list[float] = []
    with engine(folder, "kill") as running:
        client = client_of(running)
        raw.register_layers(client, "long", layers=250, width=20)
        for number in range(tries):
            raw.create(client, "long", f"long-{number}")
            raw.create(client, "long", f"longer-{number}")
            time.sleep(1.0)
            running.kill()
            killed = time.time()
            running.start()
            gaps.append(_next_fact(running, killed) - killed)
    took = statistics.median(gaps)
    return [Figure("kill -9 to progress", took, "s", "3", "1", "Flyte 1.5 s")]


def _next_fact(running: Running, after: float) -> float:
    with psycopg.connect(running.postgres(), autocommit=True) as conn:
        for _ in range(3000):
            row = conn.execute(
                "SELECT extract(epoch FROM min(occurred_at)) FROM journal "
                "WHERE occurred_at > to_timestamp(%s)",
                (after,),
            ).fetchone()
            if row and row[0] is not None:
                return float(row[0])
            time.sleep(0.01)
    raise RuntimeError("there was no progress within 30 s")


def cost_by_size(folder: Path, quick: bool) -> list[Figure]:
    """Time and bytes for each fact as one execution grows."""
    sizes = SIZES[:3] if quick else SIZES
    figures: list[Figure] = []
    base = 0.0
    with engine(folder, "size") as running:
        client = client_of(running)
        for size in sizes:
            plan = f"size{size}"
            raw.register_layers(client, plan, layers=size // 20, width=20)
            took = timed(client, plan, f"{plan}-1", 900)
            facts, stored = _stored(running, f"{plan}-1")
            cost = took / facts * 1e6
            if size == SIZES[1]:
                base = cost
            must = "1.2 x that at 1,000" if size == SIZES[3] else ""
            ratio = f"{cost / base:.2f} x that at 1,000" if base else ""
            what = f"time for each fact, {size:,} nodes"
            figures.append(Figure(what, cost, "us", must, "", ratio))
            what = f"bytes for each fact, {size:,} nodes"
            figures.append(Figure(what, stored / facts, "B"))
    return figures


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


def idle_memory(folder: Path, quick: bool) -> list[Figure]:
    """Memory of the whole process tree a minute after a run with one warm template."""
    with engine(folder, "idle", "process") as running:
        client = client_of(running)
        raw.register_layers(client, "idle", layers=5, width=2)
        timed(client, "idle", "idle-1")
        time.sleep(2 if quick else 60)
        assert running.process is not None
        postmaster = next(running.data_dir.glob("**/postmaster.pid"))
        pids = [running.process.pid, int(postmaster.read_text().split()[0])]
        used = pss_mb(pids)
    return [Figure("memory, idle", used, "MB", "400", "250", "Flyte 500-3,700 MB")]
