"""A wide map doesn't hold others up, whatever waits for slots of the one runner."""

from __future__ import annotations

from pathlib import Path

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.support import raw
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
WIDE, SLEEP_S = 60, 0.1


def test_a_small_execution_ends_long_before_a_map(tmp_path: Path) -> None:
    """Its task is given the next free slot, not the one after all that wait."""
    running = Running(tmp_path / "data", FLIGHTLOG_PROCESS__CONCURRENCY="1")
    running.start()
    try:
        platform = PlatformConfig(endpoint=running.endpoint, insecure=True)
        client = SynchronousFlyteClient(platform)
        raw.register_map(client, "wide", sleep_s=SLEEP_S)
        raw.register_layers(client, "small", layers=1, width=1, sleep_s=0.01)
        raw.create(client, "wide", "wide-0", range(WIDE))
        raw.create(client, "small", "small-0")
        small = raw.wait(client, "small-0", 30, poll_s=0.01)
        wide = raw.wait(client, "wide-0", 0.1)

        assert (small, wide) == ("SUCCEEDED", "RUNNING")
        assert raw.wait(client, "wide-0", 60) == "SUCCEEDED"
    finally:
        running.stop()
