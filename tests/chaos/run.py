"""One run: mixed executions, faults from a seed, and the checks afterwards."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flytekit.exceptions.base import FlyteException
from flytekit.exceptions.system import FlyteSystemException
from flytekit.remote import FlyteRemote

from infra.postgres.embedded_server import PostgresServer
from tests.chaos.faults import Faults
from tests.e2e.conftest import client, register
from tests.e2e.running import start
from tests.support.components.kafka import Kafka
from tests.support.components.minio import s3
from tests.support.harness.distributed import (
    GATEWAY,
    PROJECTOR,
    PROPELLER,
    RUNNER,
    Distributed,
    Outside,
)

ROLES = (GATEWAY, PROPELLER, PROPELLER, PROJECTOR, PROJECTOR, RUNNER, RUNNER)
PARTITIONS = 8
ENDING_S = 300.0
_SETTINGS = {
    "FLIGHTLOG_KAFKA__PARTITIONS": str(PARTITIONS),
    "FLIGHTLOG_KAFKA__SESSION_TIMEOUT_S": "3",
    "FLIGHTLOG_KAFKA__HEARTBEAT_INTERVAL_S": "0.5",
    "FLIGHTLOG_KAFKA__TRANSACTION_TIMEOUT_S": "3",
    "FLIGHTLOG_PROPELLER__RUNNER_TIMEOUT_S": "5",
    "FLIGHTLOG_RUNNER__HEARTBEAT_INTERVAL_S": "0.5",
    "FLIGHTLOG_PROCESS__CONCURRENCY": "4",
}
# Workflows of every shape: their inputs, and what they must yield.
SHAPES: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("shapes_flow.shapes", {"a": 3}, {"o0": 18, "o1": 16, "o2": 6, "o3": 20}),
    ("dynamic_flow.looped", {"n": 4}, {"o0": 14}),
    ("dynamic_flow.fib", {"n": 4}, {"o0": 3}),
    ("arrays_flow.squares", {"xs": [1, 2, 3]}, {"o0": [1, 4, 9]}),
)
FILES = ("shapes_flow.py", "dynamic_flow.py", "arrays_flow.py")


@dataclass(slots=True)
class Report:
    """What was done, what was found wrong, and how long it took to go on."""

    executions: int = 0
    events: int = 0
    wrong: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    progress_s: dict[str, list[float]] = field(default_factory=dict)


def run(*, seed: int, executions: int, faults: int) -> Report:
    """Run executions while faults happen; check everything from outside."""
    draw = random.Random(seed)
    report = Report(executions=executions)
    with _engine() as (engine, injecting), tempfile.TemporaryDirectory() as folder:
        register(engine, Path(folder), *FILES)
        remote = client(engine)
        chosen = [SHAPES[i % len(SHAPES)] for i in range(executions)]
        draw.shuffle(chosen)
        started: list[tuple[Any, dict[str, Any]]] = []
        injector = Faults(engine, *injecting, draw)
        each = max(1, executions // (faults + 1))
        for number, (name, inputs, outputs) in enumerate(chosen):
            started.append((_start(remote, name, inputs), outputs))
            if number % each == each - 1 and sum(injector.injected.values()) < faults:
                injector.inject()
        report.faults = dict(injector.injected)
        report.progress_s = injector.progress_s
        for execution, outputs in started:
            _check_outputs(remote, execution, outputs, report)
        _check_log(engine, report)
    return report


@contextmanager
def _engine() -> Iterator[tuple[Distributed, tuple[Kafka, PostgresServer]]]:
    with tempfile.TemporaryDirectory(
        prefix="flightlog-chaos-", ignore_cleanup_errors=True
    ) as found:
        folder = Path(found)
        folder.chmod(0o755)
        kafka, postgres = Kafka(folder / "kafka"), PostgresServer(folder / "postgres")
        kafka.start()
        url = postgres.start()
        with s3(folder / "minio") as store:
            outside = Outside(kafka=kafka.servers, postgres=url, s3=store)
            engine = Distributed(folder / "roles", outside, ROLES, **_SETTINGS)
            engine.kafka = engine.kafka.model_copy(update={"partitions": PARTITIONS})
            try:
                engine.start()
                yield engine, (kafka, postgres)
            finally:
                engine.stop()
                postgres.stop()
                kafka.kill()


def _start(remote: FlyteRemote, name: str, inputs: dict[str, Any]) -> Any:
    """Start an execution; a gateway that is away or times out is asked again."""
    until = time.monotonic() + ENDING_S
    while True:
        try:
            return start(remote, name, **inputs)
        except (FlyteException, FlyteSystemException):
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _check_outputs(
    remote: FlyteRemote, execution: Any, outputs: dict[str, Any], report: Report
) -> None:
    until = time.monotonic() + ENDING_S
    found: Any = None
    while time.monotonic() < until:
        try:
            found = remote.sync(execution)
        except (FlyteException, FlyteSystemException):
            time.sleep(0.5)
            continue
        if found.is_done:
            break
        time.sleep(0.1)
    name = execution.id.name
    if found is None or not found.is_done:
        report.wrong.append(f"Expected {name} to end, but it is still under way")
    elif found.error is not None:
        report.wrong.append(f"Expected {name} to succeed, but: {found.error.message}")
    else:
        for key, value in outputs.items():
            got = found.outputs.get(key, as_type=_kind(value))
            if got != value:
                report.wrong.append(f"Expected {name} to yield {value}, but got {got}")


def _kind(value: Any) -> Any:
    return list[int] if isinstance(value, list) else type(value)


def _check_log(engine: Distributed, report: Report) -> None:
    """Check the log, the read models against it, and against a rebuild."""
    for command in ("verify", "replay"):
        done = engine.flightlog(command, "--json")
        if done.returncode:
            report.wrong.append(f"{command}: {done.stdout}{done.stderr}")
        for line in done.stdout.splitlines():
            told = json.loads(line) if line.startswith("{") else {}
            report.events = max(report.events, int(told.get("events", 0)))
