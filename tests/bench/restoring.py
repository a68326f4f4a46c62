"""Taking up what lives: an engine is killed while many executions wait at gates."""

from __future__ import annotations

import concurrent.futures as cf
import json
import time
from pathlib import Path
from typing import Any

import psycopg

from infra.eventlog.postgres.rows import from_row
from schemas import topics
from schemas.messages.snapshots import Checkpoint
from schemas.wire import codec
from tests.bench.engines import client_of, engine, timed
from tests.bench.figure import Figure
from tests.support import raw
from tests.support.harness.engine_process import Running

CLIENTS = 16
LIVE, HISTORY = 10_000, 1_000
EVERY_S, SETTLED_S, LOOK_S = 2, 120, 0.5
_SIZE = (
    "SELECT coalesce(sum(length(state)), 0) FROM flightlog_compacted "
    "WHERE key LIKE 'execution/%'"
)
_CHECKPOINT = "SELECT state FROM flightlog_compacted WHERE key = 'checkpoint'"
_END = "SELECT max(notification_id) FROM flightlog_log WHERE topic = %s"


def restoring(folder: Path, quick: bool) -> list[Figure]:
    """Measure the restore of waiting executions, and what they take in snapshots."""
    live, history = (LIVE // 10, HISTORY // 10) if quick else (LIVE, HISTORY)
    every = {"FLIGHTLOG_SNAPSHOTS__INTERVAL_S": str(EVERY_S)}
    with engine(folder, "restoring", FLIGHTLOG_LOG_JSON="true", **every) as running:
        client = client_of(running)
        raw.register_gate(client, "gate")
        raw.register_layers(client, "chain", layers=20, width=1)
        _create(client, "gate", live)
        _create(client, "chain", history)
        timed(client, "chain", "last")
        _settle(running)
        with psycopg.connect(running.postgres(), autocommit=True) as conn:
            row = conn.execute(_SIZE).fetchone()
        size = int(row[0]) if row else 0
        running.kill()
        ready = running.start()
        timed(client, "chain", "after")
        took = _restored(running, live)
    return [
        Figure(f"restore of {live:,} executions at gates", took, "s", 10, 5),
        Figure("ready after it", ready, "s", 20, 10),
        Figure("snapshot of one of them", size / live, "bytes"),
    ]


def _create(client: Any, plan: str, count: int) -> None:
    with cf.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda i: raw.create(client, plan, f"{plan}-{i}"), range(count)))


def _settle(running: Running) -> None:
    """Wait until a checkpoint covers whatever has happened."""
    until = time.monotonic() + SETTLED_S
    with psycopg.connect(running.postgres(), autocommit=True) as conn:
        while time.monotonic() < until:
            end = conn.execute(_END, (topics.EVENTS,)).fetchone()
            row = conn.execute(_CHECKPOINT).fetchone()
            if row and end and _offset(bytes(row[0])) >= end[0]:
                return
            time.sleep(LOOK_S)
    raise RuntimeError(f"no checkpoint covered everything within {SETTLED_S} s")


def _offset(state: bytes) -> int:
    point = codec.decode(from_row(topics.SNAPSHOTS, 0, state, 0).body)
    assert isinstance(point, Checkpoint)
    return point.events_offset


def _restored(running: Running, live: int) -> float:
    """Return what the engine says that its restore took."""
    said = [
        json.loads(line)
        for line in running.log.read_text().splitlines()
        if '"partition_restored"' in line
    ]
    if said[-1]["active"] != live:
        raise RuntimeError(f"expected {live} executions, but got {said[-1]}")
    return float(said[-1]["took_s"])
