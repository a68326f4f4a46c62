"""kill -9 during a map whose elements are processes: each runs to its end, once."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.e2e.test_kill import ENDED, events
from tests.support.harness.engine_process import Running
from tests.support.raw import create, register_map, wait

pytestmark = pytest.mark.e2e
SEED, KILLS, WIDTH = 20261125, 4, 60
SLEEP_S = 0.2113  # no other process sleeps this long


def sleepers() -> list[str]:
    """Return the processes that run an element now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if words[:2] == ["sleep", str(SLEEP_S)]:
            found.append(folder.name)
    return found


@pytest.mark.timeout(300)
def test_a_map_of_processes_outlives_kills(tmp_path: Path) -> None:
    """No element is lost or ends twice, and no process is left behind."""
    draw = random.Random(SEED)
    engine = Running(tmp_path / "data", FLIGHTLOG_PROCESS__CONCURRENCY="4")
    engine.start()
    client = SynchronousFlyteClient(
        PlatformConfig(endpoint=engine.endpoint, insecure=True)
    )
    register_map(client, "slow", sleep_s=SLEEP_S)
    name = create(client, "slow", "map-killed", range(WIDTH))
    under_way = 0
    for _ in range(KILLS):
        time.sleep(draw.uniform(0.2, 0.8))
        under_way += wait(client, name, limit_s=0.01) not in ENDED
        engine.kill()
        engine.start()
    phase = wait(client, name, limit_s=120)
    log = events(engine, name)
    engine.stop()

    assert phase == "SUCCEEDED", log[-5:]
    assert under_way >= KILLS - 1
    assert [event["sequence"] for event in log] == list(range(1, len(log) + 1))
    ended = Counter(
        event["data"]["node_id"]
        for event in log
        if event["type"].endswith((".NodeSucceeded", ".NodeFailed", ".NodeAborted"))
    )
    elements = {node: times for node, times in ended.items() if "n0-0-n" in node}
    assert elements == {f"n0-0-n{index}": 1 for index in range(WIDTH)}
    assert not sleepers()
