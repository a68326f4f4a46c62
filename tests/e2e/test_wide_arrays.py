"""Wide arrays: what they cost on the log, and that kills don't stop them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flyteidl.admin import execution_pb2
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig

from tests.e2e.test_kill import events
from tests.support.harness.engine_process import Running
from tests.support.harness.unmeasured import UNMEASURED
from tests.support.raw import DOMAIN, PROJECT, create, register_map, wait

pytestmark = pytest.mark.e2e
WIDE, NARROW, OPEN = 2_500, 250, 400
KILLS = 3


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An engine that echoes tasks, and lets few elements be under way at once."""
    running = Running(
        tmp_path_factory.mktemp("wide") / "data",
        plugin="echo",
        FLIGHTLOG_PROPELLER__ARRAY_CONCURRENCY=str(OPEN),
        **UNMEASURED,
    )
    running.start()
    register_map(client_of(running), "wide")
    yield running
    running.stop()


def client_of(running: Running) -> Any:
    """Return flytekit's own client."""
    return SynchronousFlyteClient(
        PlatformConfig(endpoint=running.endpoint, insecure=True)
    )


def outputs_of(running: Running, name: str) -> list[int]:
    """Return the list that an execution put out."""
    request = execution_pb2.WorkflowExecutionGetDataRequest()
    request.id.project, request.id.domain, request.id.name = PROJECT, DOMAIN, name
    told = client_of(running)._stub.GetExecutionData(request)
    items = told.full_outputs.literals["o0"].collection.literals
    return [item.scalar.primitive.integer for item in items]


def run_map(running: Running, name: str, items: Sequence[int]) -> list[int]:
    """Run a map over items to its end; return its outputs."""
    client = client_of(running)
    create(client, "wide", name, items)
    assert wait(client, name, limit_s=120) == "SUCCEEDED", running.tail()
    return outputs_of(running, name)


def bytes_of_events(running: Running, name: str) -> int:
    """Return how much an execution's events take on the log."""
    with psycopg.connect(running.postgres()) as conn:
        row = conn.execute(
            "SELECT sum(octet_length(state)) FROM flightlog_log "
            "WHERE originator_id = %s",
            (f"execution/{PROJECT}/{DOMAIN}/{name}",),
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.timeout(200)
def test_an_element_costs_the_same_at_any_width(wide: Running) -> None:
    """No event holds the whole array but those that begin and end it."""
    assert run_map(wide, "narrow", range(NARROW)) == list(range(NARROW))
    assert run_map(wide, "wide", range(WIDE)) == list(range(WIDE))
    each = bytes_of_events(wide, "narrow") / NARROW
    each_wide = bytes_of_events(wide, "wide") / WIDE
    written = [
        path.stat().st_size
        for path in (wide.data_dir / "blobs").rglob("*.outputs.pb")
        if f"-{DOMAIN}-wide/" in str(path)
    ]

    assert each_wide < 1.1 * each
    assert len(written) == 1, "gathered outputs are written once"


def test_no_more_are_under_way_than_the_setting_says(wide: Running) -> None:
    """Counted by the events in their order."""
    run_map(wide, "bounded", range(3 * OPEN))
    under_way, most = 0, 0
    for event in events(wide, "bounded"):
        kind, data = event["type"].rsplit(".", 1)[-1], event["data"]
        node = data.get("site", data).get("node_id", "")
        if node.startswith("n0-0-n"):
            under_way += (kind == "NodeQueued") - (kind == "NodeSucceeded")
            most = max(most, under_way)

    assert most == OPEN


@pytest.mark.timeout(300)
def test_kills_during_a_map(tmp_path: Path) -> None:
    """Each element is queued and ends once, and the list is whole and in order."""
    engine = Running(
        tmp_path / "data",
        plugin="echo",
        FLIGHTLOG_PROPELLER__ARRAY_CONCURRENCY="50",
        **UNMEASURED,
    )
    engine.start()
    client = client_of(engine)
    register_map(client, "wide")
    name = create(client, "wide", "killed", range(WIDE))
    under_way = 0
    for _ in range(KILLS):
        time.sleep(0.25)
        under_way += wait(client, name, limit_s=0.01) != "SUCCEEDED"
        engine.kill()
        engine.start()
    assert wait(client, name, limit_s=120) == "SUCCEEDED", engine.tail()
    found = outputs_of(engine, name)
    log = events(engine, name)
    engine.stop()

    assert under_way
    assert found == list(range(WIDE))
    assert [event["sequence"] for event in log] == list(range(1, len(log) + 1))
    kinds = Counter(event["type"].rsplit(".", 1)[-1] for event in log)
    assert kinds["ArrayStarted"] == kinds["ExecutionSucceeded"] == 1
    assert kinds["TaskQueued"] == kinds["TaskSucceeded"] - 1 == WIDE
