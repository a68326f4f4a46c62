"""Look-ups under kill -9 of the engine and of its Postgres; outputs that grow old."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.e2e.test_postgres_killed import kill, patient_phase
from tests.support.harness.engine_process import Running
from tests.support.harness.unmeasured import UNMEASURED
from tests.support.raw import create, register_layers, wait

pytestmark = pytest.mark.e2e
NODES, KILLS = 400, 2


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder apart from pytest's, which another session may close to Postgres."""
    with tempfile.TemporaryDirectory(prefix="flightlog-test-") as found:
        yield Path(found)


def _client(engine: Running) -> Any:
    return SynchronousFlyteClient(
        PlatformConfig(endpoint=engine.endpoint, insecure=True)
    )


def _statuses(engine: Running, name: str) -> Counter[str]:
    """Return how many nodes of an execution have which cache status."""
    with psycopg.connect(engine.postgres()) as conn:
        rows = conn.execute(
            "SELECT cache_status, count(*) FROM node_executions "
            "WHERE stream LIKE %s AND kind = 'task' GROUP BY 1",
            (f"%/{name}",),
        ).fetchall()
    return Counter({str(status): int(count) for status, count in rows})


@pytest.mark.timeout(300)
def test_look_ups_outlive_kills(folder: Path) -> None:
    """Each node is looked up to its end, whatever dies meanwhile; none fails for it."""
    engine = Running(folder / "data", plugin="echo", **UNMEASURED)
    engine.start()
    register_layers(_client(engine), "kept", layers=NODES, width=1, cached=True)
    name = create(_client(engine), "kept", "killed")
    note = folder / "data" / "postgres" / "postmaster.pid"
    for _ in range(KILLS):
        time.sleep(0.3)
        engine.kill()
        engine.start()
        time.sleep(0.3)
        kill(note, engine)
    assert patient_phase(_client(engine), name) == "SUCCEEDED", engine.tail()
    statuses = _statuses(engine, name)
    engine.stop()

    assert sum(statuses.values()) == NODES
    assert set(statuses) <= {"HIT", "POPULATED"}
    assert statuses["HIT"] >= NODES // 2


def test_outputs_that_are_too_old_are_produced_again(folder: Path) -> None:
    """The setting holds for what is looked up, however long ago it was kept."""
    engine = Running(folder / "data", plugin="echo", FLIGHTLOG_CACHE__MAX_AGE_S="2")
    engine.start()
    client = _client(engine)
    register_layers(client, "kept", layers=1, width=1, cached=True)
    for name in ("first", "soon"):
        assert wait(client, create(client, "kept", name), limit_s=20) == "SUCCEEDED"
    time.sleep(2.1)
    assert wait(client, create(client, "kept", "late"), limit_s=20) == "SUCCEEDED"
    statuses = [list(_statuses(engine, n)) for n in ("first", "soon", "late")]
    engine.stop()

    assert statuses == [["POPULATED"], ["HIT"], ["POPULATED"]]
