"""Outputs that one node makes while others wait: until its end, or its holder's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flytekit.configuration import Config, PlatformConfig
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import DOMAIN, PROJECT, VERSION, pyflyte
from tests.e2e.running import finish
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
RESERVED_S, TAKES_S = 2.5, 6.0
_FLOW = """
import time
from pathlib import Path
from flytekit import task, workflow

@task(cache=True, cache_version="1", cache_serialize=True)
def made(folder: str, seconds: float) -> float:
    with (Path(folder) / "runs").open("a") as file:
        file.write("made\\n")
    time.sleep(seconds)
    return seconds

@workflow
def alone(folder: str, seconds: float) -> float:
    return made(folder=folder, seconds=seconds)
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An engine whose reservations expire sooner than its tasks end."""
    running = Running(
        tmp_path_factory.mktemp("reserving") / "data",
        FLIGHTLOG_CACHE__RESERVATION_TTL_S=str(RESERVED_S),
        FLIGHTLOG_CACHE__POLL_INTERVAL_S="0.1",
        FLIGHTLOG_RUNNER__HEARTBEAT_INTERVAL_S="0.3",
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def alone(engine: Running, tmp_path_factory: pytest.TempPathFactory) -> FlyteRemote:
    """The client, and the flow registered as an author does it."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "alone_flow.py").write_text(_FLOW)
    done = pyflyte(
        engine, folder, "register", "-p", PROJECT, "-d", DOMAIN,
        "--version", VERSION, "alone_flow.py",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    platform = PlatformConfig(endpoint=engine.endpoint, insecure=True)
    return FlyteRemote(
        Config(platform=platform), default_project=PROJECT, default_domain=DOMAIN,
        interactive_mode_enabled=False,
    )  # fmt: skip


def begin(remote: FlyteRemote, folder: Path) -> Any:
    """Start an execution that makes the folder's outputs, or waits for them."""
    plan = remote.fetch_launch_plan(name="alone_flow.alone", version=VERSION)
    return remote.execute(plan, inputs={"folder": str(folder), "seconds": TAKES_S})


def runs(folder: Path) -> int:
    """Return how often the outputs were made, or began to be."""
    file = folder / "runs"
    return len(file.read_text().splitlines()) if file.exists() else 0


def until(happened: Callable[[], bool], limit_s: float = 30) -> float:
    """Wait until something happened; return the seconds that took."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < limit_s, "it doesn't happen"
        time.sleep(0.05)
    return time.monotonic() - began


def statuses(engine: Running) -> list[tuple[str, str]]:
    """Return what the catalog said to each node, and of its reservation."""
    with psycopg.connect(engine.postgres()) as conn:
        return conn.execute(
            "SELECT cache_status, reservation_status FROM node_executions "
            "WHERE kind = 'task' ORDER BY created_at"
        ).fetchall()


def pair(remote: FlyteRemote, engine: Running, folder: Path) -> tuple[Any, Any]:
    """Start a node that makes outputs, then one that waits for them."""
    known = len(statuses(engine))
    holder = begin(remote, folder)
    until(lambda: runs(folder) == 1)
    waiter = begin(remote, folder)
    until(lambda: len(statuses(engine)) == known + 2)
    assert statuses(engine)[-1] == ("MISS", "EXISTS")
    return holder, waiter


def test_a_living_holder_keeps_its_reservation(
    alone: FlyteRemote, engine: Running, tmp_path: Path
) -> None:
    """A task that takes longer than reservations last makes its outputs alone."""
    started = pair(alone, engine, tmp_path)
    done = [finish(alone, execution) for execution in started]

    assert [d.outputs["o0"] for d in done] == [TAKES_S] * 2
    assert runs(tmp_path) == 1
    assert statuses(engine)[-1][0] == "HIT"


def test_a_dead_holders_reservation_expires(
    alone: FlyteRemote, engine: Running, tmp_path: Path
) -> None:
    """Nobody keeps it alive: the waiter takes over, not before its time is up."""
    holder, waiter = pair(alone, engine, tmp_path)
    with psycopg.connect(engine.postgres()) as conn:
        # As if an engine had held it whose log is lost.
        taken = conn.execute(
            "UPDATE catalog_reservations SET owner = 'gone', "
            "expires_at = now() + make_interval(secs => %s)",
            (RESERVED_S,),
        ).rowcount
    took = until(lambda: runs(tmp_path) == 2, limit_s=10)
    done = [finish(alone, execution) for execution in (holder, waiter)]

    assert taken == 1
    assert took >= RESERVED_S - 0.1
    assert [d.outputs["o0"] for d in done] == [TAKES_S] * 2
    assert statuses(engine)[-1][0] == "POPULATED"


def test_an_engine_killed_with_its_holder_and_waiter(
    alone: FlyteRemote, engine: Running, tmp_path: Path
) -> None:
    """Both go on after the restart, and both have what was made."""
    started = pair(alone, engine, tmp_path)
    engine.kill()
    time.sleep(RESERVED_S)
    engine.start()
    done = [finish(alone, execution) for execution in started]

    assert [d.outputs["o0"] for d in done] == [TAKES_S] * 2
    assert runs(tmp_path) <= 3
    with psycopg.connect(engine.postgres()) as conn:
        left = conn.execute("SELECT owner FROM catalog_reservations").fetchall()
    assert left == []
