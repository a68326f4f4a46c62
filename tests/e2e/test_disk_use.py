"""What executions leave on disk, and their logs, wherever these lie."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from flytekit.remote import FlyteRemote

from tests.e2e.conftest import DOMAIN, PROJECT, AnEngine
from tests.e2e.running import finish, run, start_sleeping
from tests.support.harness.engine_process import Running

pytestmark = pytest.mark.e2e
SUCCEEDED, FAILED, ABORTED = 4, 6, 7
CLEARED_S = 10


@pytest.fixture
def data(engine: AnEngine) -> Path:
    """The engine's data folder."""
    if not isinstance(engine, Running):
        pytest.skip("blobs are on S3, which has no folders")
    return engine.data_dir


def folder_of(data: Path, execution: Any) -> Path:
    """Return the folder of an execution's data."""
    name = f"{PROJECT}-{DOMAIN}-{execution.id.name}"
    return data / "blobs" / "metadata" / "propeller" / name


def paths(data: Path) -> set[str]:
    """Return all files and folders but those of Postgres."""
    found = (path.relative_to(data) for path in data.rglob("*"))
    return {str(path) for path in found if path.parts[0] != "postgres"}


def empty_folders(data: Path) -> list[Path]:
    """Return the folders of executions, and below, that nothing is in."""
    folders = [data / "blobs" / "raw", data / "blobs" / "metadata" / "propeller"]
    below = [path for folder in folders for path in folder.rglob("*")]
    return [path for path in below if path.is_dir() and not list(path.iterdir())]


def test_a_small_execution_is_one_file_in_one_folder(
    remote: FlyteRemote, data: Path
) -> None:
    """Its outputs: inputs are in its events, and its task wrote no log."""
    run(remote, "failing_flow.wf_raises", a=0)
    before = paths(data)
    done = run(remote, "failing_flow.wf_raises", a=0)
    added = [data / path for path in sorted(paths(data) - before)]

    assert done.closure.phase == SUCCEEDED
    folder, outputs = added
    assert folder == folder_of(data, done)
    assert str(outputs) == done.node_executions["n0"].closure.output_uri


def test_a_failed_execution_leaves_files_in_one_folder(
    remote: FlyteRemote, data: Path, tmp_path: Path
) -> None:
    """Of each attempt its log and its error."""
    once = run(remote, "failing_flow.wf_raises")
    thrice = run(remote, "failing_flow.wf_recovers", marker=str(tmp_path / "tries"))

    assert once.closure.phase == FAILED
    assert thrice.closure.phase == SUCCEEDED
    for done, count in ((once, 2), (thrice, 5)):
        found = list(folder_of(data, done).rglob("*"))
        assert len(found) == count, found
        assert all(path.is_file() for path in found)


def test_an_aborted_execution_leaves_no_empty_folder(
    remote: FlyteRemote, data: Path, tmp_path: Path
) -> None:
    """Neither its own nor one of its attempt's."""
    execution, _ = start_sleeping(remote, tmp_path)
    remote.terminate(execution, cause="enough")
    done = finish(remote, execution)
    until = time.monotonic() + CLEARED_S
    while empty_folders(data) and time.monotonic() < until:
        time.sleep(0.05)

    assert done.closure.phase == ABORTED
    assert empty_folders(data) == []
    assert not folder_of(data, done).exists()


def test_logs_are_found(engine: AnEngine, remote: FlyteRemote) -> None:
    """By HTTP and on the command line; that of a task that wrote nothing is empty."""
    speaks = run(remote, "shapes_flow.inner", a=1)
    silent = run(remote, "failing_flow.wf_raises", a=0)
    printed = engine.flightlog("logs", speaks.id.name)

    assert "adding 1 1" in _log_of(engine, speaks, "n0")
    assert "adding 2 1" in _log_of(engine, speaks, "n1")
    assert "adding 1 1" in printed.stdout
    assert "adding 2 1" in printed.stdout
    assert _log_of(engine, silent, "n0") == ""
    assert engine.flightlog("logs", silent.id.name).returncode == 0


def _log_of(engine: AnEngine, done: Any, node: str) -> str:
    uri = f"{engine.http}/logs/{PROJECT}/{DOMAIN}/{done.id.name}/{node}/0"
    with urllib.request.urlopen(uri, timeout=10) as reply:
        return str(reply.read().decode())
