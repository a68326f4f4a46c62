"""Many executions at once: calls, executions, tasks, and the lag of the read models."""

from __future__ import annotations

import concurrent.futures as cf
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.bench.engines import AnEngine, client_of, engine, timed, wait_all
from tests.bench.figure import Figure
from tests.support import raw

CLIENTS = 16
EXECUTIONS = 500
LOOK_S = 0.02


def throughput(folder: Path, quick: bool) -> list[Figure]:
    """Measure executions of one task, created by sixteen clients at once."""
    with engine(folder, "many") as running:
        return measured(running, quick)


def measured(running: AnEngine, quick: bool) -> list[Figure]:
    """Measure an engine that runs."""
    count = 100 if quick else EXECUTIONS
    client = client_of(running)
    raw.register_layers(client, "one", layers=1, width=1)
    timed(client, "one", "warm")
    plain, done = _burst(client, "one", count)
    with _watched(running) as lags:
        _burst(client, "seen", count)
    tasks = _sustained_tasks(client, 10 if quick else 40)
    p50, p99 = percentiles([took for _, took in steps(running, "grid")])
    return [
        Figure(
            "CreateExecution calls", plain, "/s", 100, 400, more=True,
            comparison="Flyte 24-41/s",
        ),
        Figure(
            "executions of one task", done, "/s", 75, 230, more=True,
            comparison="Flyte 10-16/s, DBOS 145-227/s",
        ),
        Figure(
            "tasks, over many executions", tasks, "/s", 150, 350, more=True,
            comparison="Temporal 44-138/s, DBOS 300-360/s",
        ),
        Figure("orchestration of each task under that load, p50", p50, "s"),
        Figure("orchestration of each task under that load, p99", p99, "s", 2, 0.5),
        *_lag_figures(lags),
    ]  # fmt: skip


def _burst(client: Any, prefix: str, count: int) -> tuple[float, float]:
    """Return calls a second, and executions created and finished a second."""
    began = time.monotonic()
    called, created = create_many(client, prefix, count)
    wait_all(client, created)
    return count / called, count / (time.monotonic() - began)


def create_many(client: Any, prefix: str, count: int) -> tuple[float, set[str]]:
    """Create executions by many clients at once; return the seconds, and the names."""
    began = time.monotonic()
    with cf.ThreadPoolExecutor(CLIENTS) as pool:
        names = pool.map(
            lambda i: raw.create(client, "one", f"{prefix}-{i}"), range(count)
        )
        created = set(names)
    return time.monotonic() - began, created


def _sustained_tasks(client: Any, count: int) -> float:
    """Return tasks a second over executions of 5 chains of 5 echo tasks each."""
    raw.register_layers(client, "grid", layers=5, width=5)
    began = time.monotonic()
    wait_all(client, {raw.create(client, "grid", f"grid-{i}") for i in range(count)})
    return count * 25 / (time.monotonic() - began)


def steps(running: AnEngine, prefix: str) -> list[tuple[float, float]]:
    """Return when each echo task of layered executions ended, and how long it took.

    From the end of the task before it to its own, all of which is orchestration: an
    echo task does nothing. Times are those of the events, as in the read models.
    """
    with psycopg.connect(running.postgres()) as conn:
        rows = conn.execute(
            "SELECT stream, subject, extract(epoch FROM occurred_at) FROM journal "
            "WHERE type = 'NodeSucceeded' AND stream LIKE %s",
            (f"%/{prefix}-%",),
        ).fetchall()
    ended = {
        (s, *map(int, n[1:].split("x"))): float(at) for s, n, at in rows if "x" in n
    }
    return [
        (at, at - ended[stream, layer - 1, column])
        for (stream, layer, column), at in ended.items()
        if layer
    ]


def percentiles(found: list[float]) -> tuple[float, float]:
    """Return the median, and what 99 of 100 stay below."""
    if not found:
        raise RuntimeError("there was nothing to measure")
    found = sorted(found)
    return found[len(found) // 2], found[len(found) * 99 // 100]


@contextmanager
def _watched(running: AnEngine) -> Iterator[list[float]]:
    """Note how old each event is when another connection first sees its row."""
    lags: list[float] = []
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(running, lags, stop))
    watcher.start()
    try:
        yield lags
        time.sleep(1)
    finally:
        stop.set()
        watcher.join()


def _watch(running: AnEngine, lags: list[float], stop: threading.Event) -> None:
    """Look for the newest events, as a dashboard would.

    An event's `occurred_at` is its envelope's `recorded_at_us`: when it was decided,
    before it was appended. So this is the whole way, and up to a look longer.
    """
    newest = time.time()
    with psycopg.connect(running.postgres(), autocommit=True) as conn:
        conn.execute("CREATE INDEX journal_at ON journal (occurred_at)")
        while not stop.is_set():
            rows = conn.execute(
                "SELECT extract(epoch FROM occurred_at), count(*) FROM journal "
                "WHERE occurred_at > to_timestamp(%s) GROUP BY 1",
                (newest,),
            ).fetchall()
            now = time.time()
            for at, events in rows:
                lags.extend([now - float(at)] * events)
                newest = max(newest, float(at))
            time.sleep(LOOK_S)


def _lag_figures(lags: list[float]) -> list[Figure]:
    p50, p99 = percentiles(lags)
    what = "event decided to seen in Postgres under load"
    return [
        Figure(f"{what}, p50", p50, "s"),
        Figure(f"{what}, p99", p99, "s", 2, 0.5),
    ]
