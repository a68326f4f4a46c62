"""How long the work of a dead runner waits: its last heartbeat to the next dispatch.

The bench plays the runners itself, so that it knows when each was heard last.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from pathlib import Path

from infra.clock import SystemClock
from infra.eventlog.kafka.log import KafkaLog
from infra.setting_sections.storage import LogSettings
from schemas import topics
from schemas.ids import attempt_id
from schemas.messages.dispatches import RunTask
from schemas.wire import codec
from tests.bench.engines import client_of
from tests.bench.figure import Figure
from tests.support import raw
from tests.support.harness.distributed import (
    GATEWAY,
    PROJECTOR,
    PROPELLER,
    Distributed,
    distributed,
)
from workers.plugins.plugin import Started
from workers.runner.reports import Reports

RUNNERS = 16
TIMEOUT_S, QUICK_S = 30.0, 5.0
LATE_S, AIM_S = 2.0, 1.0
_BEAT_S = 1.0
_BEATS = 3
_APART_S = 0.37
_SOON_S = 30.0


def dead_runners(folder: Path, quick: bool) -> list[Figure]:
    """Measure runners that die at different moments between two ticks."""
    del folder
    timeout_s = QUICK_S if quick else TIMEOUT_S
    setting = {"FLIGHTLOG_PROPELLER__RUNNER_TIMEOUT_S": str(timeout_s)}
    with distributed((GATEWAY, PROPELLER, PROJECTOR), **setting) as engine:
        client = client_of(engine)
        raw.register_layers(client, "held", layers=1, width=1)
        for number in range(RUNNERS):
            raw.create(client, "held", f"held-{number}")
        waits = asyncio.run(_redispatches(engine, timeout_s))
    late = [wait - timeout_s for wait in waits]
    what = "dead runner: last heartbeat to redispatch, after its timeout"
    return [
        Figure(f"{what}, median", statistics.median(late), "s", LATE_S, AIM_S),
        Figure(f"{what}, at most", max(late), "s", LATE_S),
        Figure(f"{what}, at least", min(late), "s", 0, more=True),
    ]


async def _redispatches(engine: Distributed, timeout_s: float) -> list[float]:
    """Return how long each runner's task waited for its next dispatch."""
    log = KafkaLog(engine.kafka, LogSettings(poll_interval_s=0.2))
    await log.open()
    seen: dict[tuple[str, int], asyncio.Future[RunTask]] = defaultdict(
        asyncio.get_running_loop().create_future
    )
    following = asyncio.create_task(_follow(log, seen))
    try:
        async with asyncio.timeout(timeout_s + _SOON_S):
            return await asyncio.gather(
                *(_live_and_die(log, seen, number) for number in range(RUNNERS))
            )
    finally:
        following.cancel()
        await log.close()


async def _follow(
    log: KafkaLog, seen: dict[tuple[str, int], asyncio.Future[RunTask]]
) -> None:
    """Note each dispatch as soon as it can be read."""
    async for batch in log.tail((topics.DISPATCHES,), {}, 1000):
        for received in batch:
            task = codec.decode(received.body)
            assert isinstance(task, RunTask)
            found = seen[task.execution.name, task.dispatch_no]
            if not found.done():
                found.set_result(task)


async def _live_and_die(
    log: KafkaLog, seen: dict[tuple[str, int], asyncio.Future[RunTask]], number: int
) -> float:
    """Hold a lease for a while; return the seconds from then to the next dispatch."""
    name = f"held-{number}"
    task = await seen[name, 0]
    reports = Reports(clock=SystemClock(), runner=name, incarnation="i1")
    partitions = range(await log.partitions(topics.COMMANDS))
    await asyncio.sleep(_APART_S * number % _BEAT_S)
    await log.append([reports.heartbeat(partition) for partition in partitions])
    now_us = time.time_ns() // 1000
    await log.append([reports.started(task, now_us, Started())])
    last = 0.0
    for _ in range(_BEATS):
        await asyncio.sleep(_BEAT_S)
        last = time.monotonic()
        await log.append([reports.heartbeat(partition) for partition in partitions])
    again = await seen[name, 1]
    assert attempt_id(again.stream, again.node_id, again.attempt) == attempt_id(
        task.stream, task.node_id, task.attempt
    )
    return time.monotonic() - last
