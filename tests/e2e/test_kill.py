"""kill -9 at any moment: the engine goes on by itself, and the log stays whole."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.support.harness.engine_process import Running
from tests.support.harness.unmeasured import UNMEASURED
from tests.support.raw import create, register_layers, wait

pytestmark = pytest.mark.e2e
SEED, KILLS, EXECUTIONS, LAYERS, WIDTH = 20261124, 10, 4, 10, 5
TASK_S = 0.25
ENDED = {"SUCCEEDED", "FAILED", "ABORTED"}
ONCE = {"NodeQueued", "NodeSucceeded", "TaskQueued", "TaskSucceeded"}


def events(engine: Running, name: str) -> list[dict[str, Any]]:
    """Return an execution's events as the CLI prints them."""
    done = subprocess.run(
        engine.command(
            "events", "show", f"flytesnacks/development/{name}", "--json",
            "--data-dir", str(engine.data_dir),
        ),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(400)
def test_ten_kills_during_two_hundred_tasks(tmp_path: Path) -> None:
    """Every node goes once from queued to terminal; sequences have no gap or repeat."""
    draw = random.Random(SEED)
    engine = Running(
        tmp_path / "data",
        plugin="process",
        FLIGHTLOG_PROCESS__CONCURRENCY="4",
        **UNMEASURED,
    )
    engine.start()
    client = SynchronousFlyteClient(
        PlatformConfig(endpoint=engine.endpoint, insecure=True)
    )
    register_layers(client, "layers", layers=LAYERS, width=WIDTH, sleep_s=TASK_S)
    names = [create(client, "layers", f"kill-{i}") for i in range(EXECUTIONS)]
    under_way = 0
    for _ in range(KILLS):
        time.sleep(draw.uniform(0.0, 1.2))
        under_way += wait(client, names[-1], limit_s=0.01) not in ENDED
        engine.kill()
        engine.start()
    ended = {name: wait(client, name, limit_s=120) for name in names}

    lost = [name for name, phase in ended.items() if phase != "SUCCEEDED"]
    assert not lost, events(engine, lost[0])[-8:]
    assert under_way >= KILLS - 2
    for name in names:
        check_whole(events(engine, name))
    engine.stop()


def check_whole(log: list[dict[str, Any]]) -> None:
    """Check one execution's events from outside."""
    assert [event["sequence"] for event in log] == list(range(1, len(log) + 1))
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for event in log:
        kind = event["type"].rsplit(".", 1)[-1]
        data = event["data"]
        node = data.get("site", data).get("node_id", "")
        seen[node][kind] += 1
    ends = [f for f in log if f["type"].endswith(".ExecutionSucceeded")]
    assert len(ends) == 1
    assert ends[0] == log[-1]
    tasks = [node for node in seen if node and not node.endswith("-node")]
    assert len(tasks) == LAYERS * WIDTH
    for node in tasks:
        assert {kind: seen[node][kind] for kind in ONCE} == dict.fromkeys(ONCE, 1)
