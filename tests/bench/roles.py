"""Roles as processes of their own on Kafka, beside the embedded engine's figures."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer

from infra.eventlog.kafka.log import KafkaLog
from infra.setting_sections.storage import LogSettings
from schemas import topics as t
from tests.bench.chains import CHAIN, chains_on
from tests.bench.engines import client_of, timed, wait_all
from tests.bench.figure import Figure
from tests.bench.load import measured
from tests.bench.recovery import next_event
from tests.bench.replacing import replacing
from tests.support import raw
from tests.support.harness.distributed import (
    GATEWAY,
    PROJECTOR,
    PROPELLER,
    RUNNER,
    Distributed,
    distributed,
)

ON = {"FLIGHTLOG_PLUGIN": "echo"}
_TASKS = 25
_PAUSE_S = 0.01
_PROGRESS_S = 60
_RAW_BATCH = 100


def on_kafka(folder: Path, quick: bool) -> list[Figure]:
    """Measure one process of each role; then two propellers."""
    del folder
    with distributed(**ON) as engine:
        row, side = chains_on(engine, quick)
        load = measured(engine, quick)
        figures = [
            Figure(f"Kafka: {CHAIN} sequential echo tasks", row, "s", 2, 0.6),
            Figure(f"Kafka: {CHAIN} parallel echo tasks", side, "s", 0.8, 0.2),
            *_named("Kafka", load),
            *_sizes(engine, next(f.value for f in load if f.what.startswith("tasks"))),
            _rebuild(engine),
            _kill(engine, quick),
        ]
    two = (GATEWAY, PROPELLER, PROPELLER, PROJECTOR, RUNNER)
    with distributed(two, **ON) as engine:
        figures += _named("Kafka, 2 propellers", measured(engine, quick))
        figures += replacing(engine, quick)
    return figures


def _named(where: str, figures: list[Figure]) -> list[Figure]:
    return [
        Figure(f"{where}: {f.what}", f.value, f.unit, f.must, f.aim, more=f.more)
        for f in figures
    ]


def _sizes(engine: Distributed, rate: float) -> list[Figure]:
    """Count what one execution of 25 tasks puts on the topics; compare with raw Kafka.

    `rate`: how many tasks a second the engine did.
    """
    client = client_of(engine)
    raw.register_layers(client, "sized", layers=5, width=5)
    before = asyncio.run(_on_topics(engine))
    wait_all(client, {raw.create(client, "sized", f"sized-{i}") for i in range(4)})
    after = asyncio.run(_on_topics(engine))
    messages = (after[0] - before[0]) / (4 * _TASKS)
    size = (after[1] - before[1]) / (4 * _TASKS)
    limit = asyncio.run(_raw_rate(engine, round(messages), round(size / messages)))
    return [
        Figure("Kafka: messages for each task", messages, ""),
        Figure("Kafka: bytes for each task, without headers", size, ""),
        Figure("Kafka: tasks' fan-out by plain transactions", limit, "/s", more=True),
        Figure(
            "Kafka: share of that which is reached", 100 * rate / limit, "%", more=True
        ),
    ]


async def _on_topics(engine: Distributed) -> tuple[int, int]:
    log = KafkaLog(engine.kafka, LogSettings(poll_interval_s=0.2))
    await log.open()
    try:
        found = [
            len(received.body)
            for topic in (t.COMMANDS, t.EVENTS, t.DISPATCHES)
            async for batch in log.read_to_end(topic, {}, 1000)
            for received in batch
        ]
    finally:
        await log.close()
    return len(found), sum(found)


async def _raw_rate(engine: Distributed, messages: int, size: int) -> float:
    """Return tasks a second if the broker's transactions were all there was to do."""
    topic = engine.kafka.prefix + t.NOTIFICATIONS  # nobody reads it
    producer = AIOKafkaProducer(
        bootstrap_servers=engine.kafka.bootstrap_servers, acks="all",
        transactional_id=f"{topic}-bench", retry_backoff_ms=10,
    )  # fmt: skip
    await producer.start()
    began, rounds = time.monotonic(), 30
    try:
        for _ in range(rounds):
            async with producer.transaction():
                sent = [
                    await producer.send(topic, bytes(size))
                    for _ in range(_RAW_BATCH * messages)
                ]
                await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return rounds * _RAW_BATCH / (time.monotonic() - began)


def _rebuild(engine: Distributed) -> Figure:
    """Rebuild all read models by the command."""
    done = json.loads(engine.flightlog("replay", "--json").stdout)
    rate = done["events"] / done["seconds"]
    what = "Kafka: rebuild of all views, compared"
    return Figure(what, rate, "/s", 5000, 20000, more=True)


def _kill(engine: Distributed, quick: bool) -> Figure:
    """Kill the only propeller under load; it is started again at once."""
    client = client_of(engine)
    raw.register_layers(client, "long", layers=100, width=20)
    gaps = []
    for number in range(1 if quick else 3):
        timed(client, "one", f"before-{number}")
        raw.create(client, "long", f"long-{number}")
        time.sleep(1)
        (propeller,) = engine.of(PROPELLER)
        propeller.kill()
        killed = time.time()
        propeller.start()
        gaps.append(next_event(engine, killed, _PROGRESS_S) - killed)
        propeller.wait()
    what = "Kafka: kill -9 of the propeller to progress"
    return Figure(what, statistics.median(gaps), "s", 10, 3)
