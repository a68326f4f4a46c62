"""`flightlog up` as an operator meets it: ready, refused, stopped, killed, adopted."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
STOP_S = 10


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Running]:
    """An engine that echoes, on a folder of its own."""
    running = Running(tmp_path / "data", plugin="echo")
    yield running
    if running.process is not None:
        running.stop()


def flightlog(engine: Running, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command against an engine's folder."""
    return subprocess.run(
        engine.command(*words, "--data-dir", str(engine.data_dir)),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def get(engine: Running, path: str) -> Any:
    """Return what REST answers."""
    with urllib.request.urlopen(f"{engine.http}{path}", timeout=5) as reply:
        return json.load(reply)


def test_serves_until_it_is_told_to_stop(engine: Running) -> None:
    """It is ready soon, tells where it is, serves REST, and ends within its time."""
    engine.start()
    assert f"gRPC 127.0.0.1:{engine.grpc_port}" in engine.tail()
    projects = get(engine, "/api/v1/projects")["projects"]
    assert [p["id"] for p in projects] == ["flytesnacks"]
    assert len(projects[0]["domains"]) == 3

    status = flightlog(engine, "status", "--json")
    assert status.returncode == 0
    assert json.loads(status.stdout)["ready"] is True

    assert engine.stop() < STOP_S
    assert engine.process is not None
    assert engine.process.returncode == 0
    assert flightlog(engine, "status").returncode == 3
    assert flightlog(engine, "events", "tail").returncode == 3
    unknown = flightlog(engine, "events", "show", "nope")
    assert unknown.returncode == 1
    assert "Expected execution 'nope' to exist" in unknown.stderr


def test_ends_on_ctrl_c(engine: Running) -> None:
    """SIGINT ends it as SIGTERM does."""
    engine.start()
    assert engine.process is not None
    engine.process.send_signal(signal.SIGINT)
    assert engine.process.wait(STOP_S) == 0


def test_goes_on_after_a_kill(engine: Running) -> None:
    """Its Postgres lives on and is adopted; what was registered is still there."""
    engine.start()
    request = urllib.request.Request(
        f"{engine.http}/api/v1/projects",
        data=json.dumps({"project": {"id": "kept", "name": "kept"}}).encode(),
    )
    with urllib.request.urlopen(request, timeout=5):
        pass
    pid = (engine.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]
    engine.kill()
    assert flightlog(engine, "status").returncode == 3
    engine.start()
    after = (engine.data_dir / "postgres" / "postmaster.pid").read_text().split()[0]
    assert after == pid
    projects = get(engine, "/api/v1/projects")["projects"]
    assert [p["id"] for p in projects] == ["flytesnacks", "kept"]


def test_refuses_a_folder_and_a_port_that_are_taken(
    engine: Running, tmp_path: Path
) -> None:
    """A second engine says what is in its way, and exits with 1."""
    engine.start()
    same_folder = flightlog(engine, "up", "--grpc-port", "0", "--http-port", "0")
    assert same_folder.returncode == 1
    assert "uses it" in same_folder.stderr
    for option, port in (
        ("--http-port", engine.http_port),
        ("--grpc-port", engine.grpc_port),
    ):
        other = Running(tmp_path / "other", plugin="echo")
        ports = {"--http-port": "0", "--grpc-port": "0", option: str(port)}
        words = [word for pair in ports.items() for word in pair]
        taken = flightlog(other, "up", *words)
        assert taken.returncode == 1
        assert f"Expected port {port}" in taken.stderr


def test_runs_beside_another(engine: Running, tmp_path: Path) -> None:
    """Engines on other folders and ports don't meet."""
    engine.start()
    other = Running(tmp_path / "other", plugin="echo")
    other.start()
    try:
        assert get(other, "/healthz")["ready"] is True
        assert get(engine, "/healthz")["ready"] is True
    finally:
        other.stop()


def test_shows_an_example(engine: Running) -> None:
    """The demo registers by pyflyte, runs, and prints the outputs; 0 if it succeeds."""
    done = flightlog(engine, "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "execution SUCCEEDED" in done.stdout
    assert "reserves called" in done.stdout
    name = done.stdout.split("flytesnacks/development/")[1].split()[0]
    shown = flightlog(engine, "events", "show", name, "--json")
    events = [json.loads(line) for line in shown.stdout.splitlines()]
    assert events[-1]["type"] == "flightlog.v1.ExecutionSucceeded"
