"""kill -9 of the embedded Postgres under work: the engine brings it back, goes on."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig
from flytekit.exceptions.base import FlyteException

from infra.postgres.embedded_server import PostgresServer
from tests.support.harness.engine_process import Running
from tests.support.raw import create, register_layers, wait

pytestmark = pytest.mark.e2e
KILLS, LIMIT_S = 3, 90


def patient_phase(client: SynchronousFlyteClient, name: str) -> str:
    """Return the phase reached; calls fail while Postgres is away."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        try:
            if (phase := wait(client, name, limit_s=1)) == "SUCCEEDED":
                return phase
        except FlyteException:
            pass
        time.sleep(0.2)
    return "not in time"


def kill(note: Path, engine: Running) -> None:
    """Kill the Postgres that runs now, or as soon as one runs again."""
    server = PostgresServer(note.parent)
    until = time.monotonic() + LIMIT_S
    while not server.is_running():
        assert time.monotonic() < until, engine.tail()
        time.sleep(0.1)
    os.kill(int(note.read_text().split()[0]), signal.SIGKILL)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder apart from pytest's, which another session may close to Postgres."""
    with tempfile.TemporaryDirectory(prefix="flightlog-test-") as found:
        yield Path(found)


def test_the_engine_outlives_its_postgres(folder: Path) -> None:
    """Work under way ends well, in the same process, though Postgres is killed."""
    engine = Running(folder / "data")
    engine.start()
    client = SynchronousFlyteClient(
        PlatformConfig(endpoint=engine.endpoint, insecure=True)
    )
    register_layers(client, "layers", layers=10, width=2, sleep_s=0.3)
    name = create(client, "layers", "outlives")
    note = folder / "data" / "postgres" / "postmaster.pid"
    for _ in range(KILLS):
        time.sleep(1)
        kill(note, engine)
    assert patient_phase(client, name) == "SUCCEEDED", engine.tail()
    assert engine.process is not None
    assert engine.process.poll() is None
    engine.stop()
    assert not note.exists()
