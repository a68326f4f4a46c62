"""Deletion by the command line: rows, blobs and children go, events stay."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flytekit.exceptions.user import FlyteEntityNotExistException
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import (
    DOMAIN,
    PROJECT,
    client,
    register,
)
from tests.e2e.running import finish, run, start
from tests.e2e.test_kill import events
from tests.support.harness.engine_process import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
FLOW = "recover_flow.py"
SWEPT_S = 30.0
SUCCEEDED, FAILED = 4, 6


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder apart from pytest's, which another session may close to Postgres."""
    with tempfile.TemporaryDirectory(prefix="flightlog-test-") as found:
        yield Path(found)


@pytest.fixture(scope="module")
def both(folder: Path) -> Iterator[tuple[Running, FlyteRemote]]:
    """An engine that sweeps often, and its client."""
    engine, remote = _engine(folder)
    yield engine, remote
    engine.stop()


@pytest.fixture(autouse=True)
def _as_new(folder: Path) -> None:
    """Break what the test before had mended."""
    for name in ("mended", "go"):
        (folder / name).unlink(missing_ok=True)


def _engine(folder: Path, **env: str) -> tuple[Running, FlyteRemote]:
    """Start an engine and register the flow."""
    engine = Running(
        folder / ("old" if env else "data"),
        FLIGHTLOG_RETENTION__INTERVAL_S="0.3",
        **env,
    )
    engine.start()
    register(engine, folder, FLOW)
    remote = client(engine)
    return engine, remote


def _flightlog(engine: Running, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        engine.command(*words, "--data-dir", str(engine.data_dir)),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _delete(engine: Running, execution: Any) -> subprocess.CompletedProcess[str]:
    return _flightlog(engine, "delete", execution.id.name)


def _files(folder: Path) -> set[str]:
    found = os.walk(folder)
    return {str(Path(above, name)) for above, _, names in found for name in names}


def _until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    until = time.monotonic() + SWEPT_S
    while time.monotonic() < until:
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError(what())


def test_nothing_is_left_but_events(
    folder: Path, both: tuple[Running, FlyteRemote]
) -> None:
    """What executions of all kinds left on disk is gone; views and log agree."""
    engine, remote = both
    (folder / "mended").touch()
    blobs = engine.data_dir / "blobs"
    before = _files(blobs)
    where = {"folder": str(folder)}
    ended = [
        run(remote, "recover_flow.large", **where),
        run(remote, "recover_flow.family", x=1, **where),
        run(remote, "recover_flow.mapped", xs=[1, 2, 3], **where),
        run(remote, "recover_flow.length_plus", text="ü" * 50_000, **where),
    ]
    assert {e.closure.phase for e in ended} == {SUCCEEDED}
    children = [
        child.id
        for node in ended[1].node_executions.values()
        for child in node.workflow_executions
    ]
    assert len(children) == 2
    assert _files(blobs) > before
    assert not _files(blobs / "metadata" / "requests")
    _until(
        lambda: not _files(engine.data_dir / "process" / "scratch"),
        lambda: _files(engine.data_dir / "process"),
    )

    for execution in ended:
        done = _delete(engine, execution)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
    engine.kill()
    engine.start()

    _until(lambda: _files(blobs) == before, lambda: _files(blobs) - before)
    for gone in [*(e.id for e in ended), *children]:
        with pytest.raises(FlyteEntityNotExistException):
            remote.client.get_execution(gone)
    recent = {e.id.name for e in remote.recent_executions(limit=50)}
    assert not recent & {gone.name for gone in children}
    log = events(engine, ended[0].id.name)
    assert str(log[-1]["type"]).endswith(".ExecutionDeleted")
    assert log[-1]["data"]["phase"] == "SUCCEEDED"
    for check in ("replay", "verify"):
        done = _flightlog(engine, check)
        assert done.returncode == 0, done.stdout + done.stderr
    again = _flightlog(engine, "delete", f"{PROJECT}/{DOMAIN}/{ended[0].id.name}")
    assert "was already deleted" in again.stdout


def test_what_runs_or_is_unknown_is_refused(
    folder: Path, both: tuple[Running, FlyteRemote]
) -> None:
    """A running execution stays as it is, and so does a child; both are told why."""
    engine, remote = both
    (folder / "mended").touch()
    running = start(remote, "recover_flow.late", folder=str(folder), x=1)
    refused = _delete(engine, running)
    unknown = _flightlog(engine, "delete", f"{PROJECT}/{DOMAIN}/nobody")
    (folder / "go").touch()
    ended = finish(remote, running)
    parent = run(remote, "recover_flow.family", folder=str(folder), x=1)
    child = parent.node_executions["n0"].workflow_executions[0]
    alone = _delete(engine, child)

    assert refused.returncode == 1
    assert "terminate it first" in refused.stderr
    assert unknown.returncode == 1
    assert "does not exist" in unknown.stderr
    assert ended.closure.phase == SUCCEEDED
    assert alone.returncode == 1
    assert "goes with it" in alone.stderr


def test_blobs_that_a_recovery_uses_stay_with_it(
    folder: Path, both: tuple[Running, FlyteRemote]
) -> None:
    """The original's outputs are read until the recovery is deleted too."""
    engine, remote = both
    blobs = engine.data_dir / "blobs"
    before = _files(blobs)
    failed = run(remote, "recover_flow.large", folder=str(folder))
    assert failed.closure.phase == FAILED
    (folder / "mended").touch()
    again = remote.client.recover_execution(failed.id)
    done = finish(remote, remote.fetch_execution(name=again.name))
    assert done.closure.phase == SUCCEEDED

    assert _delete(engine, failed).returncode == 0
    with pytest.raises(FlyteEntityNotExistException):
        remote.client.recover_execution(failed.id)
    time.sleep(1.5)  # several rounds
    node = done.node_executions["n0"].id
    data = remote.client.get_node_execution_data(node)
    text = data.full_outputs.literals["o0"].scalar.primitive.string_value
    assert len(text) == 100_000
    assert _delete(engine, done).returncode == 0

    _until(lambda: _files(blobs) == before, lambda: _files(blobs) - before)


def test_old_executions_are_deleted_by_themselves(folder: Path) -> None:
    """With a retention set, nobody needs to ask."""
    engine, remote = _engine(folder, FLIGHTLOG_RETENTION__EXECUTION_TTL_S="2")
    (folder / "mended").touch()
    blobs = engine.data_dir / "blobs"
    before = _files(blobs)
    started = start(remote, "recover_flow.family", folder=str(folder), x=1)
    ended = finish(remote, started)
    assert ended.closure.phase == SUCCEEDED

    _until(lambda: _files(blobs) == before, lambda: _files(blobs) - before)
    with pytest.raises(FlyteEntityNotExistException):
        remote.client.get_execution(ended.id)
    engine.stop()
