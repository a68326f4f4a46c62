"""What an engine costs while nothing happens, and after everything did."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import psycopg

from tests.bench.engines import client_of, engine, timed
from tests.bench.figure import Figure
from tests.bench.machine import pss_mb
from tests.support import raw
from tests.support.harness.distributed import Distributed
from tests.support.harness.engine_process import Running

IDLE_S = 60
_LOAD_S = 1.0
_PAUSE_S = 0.01
_PROGRESS_S = 30


def kill_to_progress(folder: Path, quick: bool) -> list[Figure]:
    """Measure from kill -9 under load to the next event, the start included."""
    tries = 1 if quick else 5
    gaps: list[float] = []
    with engine(folder, "kill") as running:
        client = client_of(running)
        raw.register_layers(client, "long", layers=250, width=20)
        for number in range(tries):
            raw.create(client, "long", f"long-{number}")
            raw.create(client, "long", f"longer-{number}")
            time.sleep(_LOAD_S)
            running.kill()
            killed = time.time()
            running.start()
            gaps.append(next_event(running, killed, _PROGRESS_S) - killed)
    took = statistics.median(gaps)
    return [Figure("kill -9 to progress", took, "s", 3, 1, comparison="Flyte 1.5 s")]


def next_event(running: Running | Distributed, after: float, limit_s: float) -> float:
    """Return when the first event after a time was decided, once the rows show it."""
    with psycopg.connect(running.postgres(), autocommit=True) as conn:
        for _ in range(round(limit_s / _PAUSE_S)):
            row = conn.execute(
                "SELECT extract(epoch FROM min(occurred_at)) FROM journal "
                "WHERE occurred_at > to_timestamp(%s)",
                (after,),
            ).fetchone()
            if row and row[0] is not None:
                return float(row[0])
            time.sleep(_PAUSE_S)
    raise RuntimeError(f"there was no progress within {limit_s} s")


def idle_memory(folder: Path, quick: bool) -> list[Figure]:
    """Measure the whole process tree a minute after a run, with one warm template."""
    with engine(folder, "idle", "process") as running:
        client = client_of(running)
        raw.register_layers(client, "idle", layers=5, width=2)
        timed(client, "idle", "idle-1")
        time.sleep(2 if quick else IDLE_S)
        assert running.process is not None
        postmaster = next(running.data_dir.glob("**/postmaster.pid"))
        pids = [running.process.pid, int(postmaster.read_text().split()[0])]
        used = pss_mb(pids)
    flyte = "Flyte 500-3,700 MB"
    return [Figure("memory, idle", used, "MB", 400, 250, comparison=flyte)]
