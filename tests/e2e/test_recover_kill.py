"""kill -9 in the middle of a recovery: what was to be taken over still is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flytekit import Options

from tests.e2e.conftest import (
    VERSION,
    client,
    register,
)
from tests.e2e.running import finish
from tests.e2e.test_kill import events
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
FLOW = "recover_flow.py"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder apart from pytest's, which another session may close to Postgres."""
    with tempfile.TemporaryDirectory(prefix="flightlog-test-") as found:
        yield Path(found)


def _kinds(log: list[dict[str, object]]) -> list[str]:
    return [str(event["type"]).rsplit(".", 1)[-1] for event in log]


@pytest.mark.timeout(240)
def test_a_killed_recovery_goes_on(folder: Path) -> None:
    """A node that waited for a slot is taken over after the restart, not run."""
    engine = Running(folder / "data")
    engine.start()
    register(engine, folder, FLOW)
    remote = client(engine)
    plan = remote.fetch_launch_plan(name="recover_flow.late", version=VERSION)
    inputs = {"folder": str(folder), "x": 1}
    one = Options(max_parallelism=1)
    original = finish(remote, remote.execute(plan, inputs=inputs, options=one))
    noted = folder / "runs"
    assert sorted(noted.read_text().split()) == ["slow-1", "works-1"]
    noted.unlink()
    (folder / "mended").touch()

    name = remote.client.recover_execution(original.id).name
    until = time.monotonic() + 30
    while not noted.exists() and time.monotonic() < until:
        time.sleep(0.05)
    before = _kinds(events(engine, name))
    engine.kill()
    engine.start()
    (folder / "go").touch()
    ended = finish(remote, remote.fetch_execution(name=name))
    log = events(engine, name)
    engine.stop()

    assert "NodeRecovered" not in before
    assert ended.outputs["o0"] == 4
    assert set(noted.read_text().split()) == {"slow-1"}
    assert [event["sequence"] for event in log] == list(range(1, len(log) + 1))
    assert _kinds(log).count("NodeRecovered") == 1
    assert _kinds(log).count("ExecutionSucceeded") == 1
