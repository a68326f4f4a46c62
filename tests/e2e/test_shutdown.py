"""The first SIGTERM or Ctrl-C begins the shutdown, whatever the engine is doing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.postgres import postmaster
from tests.support.harness.engine_process import READY_S

pytestmark = pytest.mark.e2e
STOP_S = 10.0


@contextlib.contextmanager
def starting(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start an engine whose output is read by this process."""
    words = ("up", "--plugin", "echo", "--grpc-port", "0", "--http-port", "0")
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", *words, "--data-dir", str(folder)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=dict(os.environ),
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def has_postgres(folder: Path) -> bool:
    """Return whether a Postgres runs on the folder."""
    found = postmaster.read(folder / "postgres")
    return found is not None and found.is_running()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_with_nobody_reading_its_output(tmp_path: Path, number: signal.Signals) -> None:
    """`flightlog up 2>&1 | tee log`: the first Ctrl-C ends tee, too."""
    with starting(tmp_path / "data") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "is ready" in process.stdout.readline()
        process.stdout.close()
        process.stderr.close()
        process.send_signal(number)
        assert process.wait(STOP_S) == 0
    assert not has_postgres(tmp_path / "data")


def test_with_nobody_to_tell_that_it_is_ready(tmp_path: Path) -> None:
    """It runs on, and ends in order."""
    with starting(tmp_path / "data") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        until = time.monotonic() + READY_S
        while not (tmp_path / "data" / "engine.json").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
    assert not has_postgres(tmp_path / "data")


@pytest.mark.parametrize(
    "at", ["engine.lock", "postgres.new", "postgres/postmaster.pid"]
)
def test_while_it_starts(tmp_path: Path, at: str) -> None:
    """Before Postgres is there, while its files are made, while it starts."""
    folder = tmp_path / "data"
    with starting(folder) as process:
        until = time.monotonic() + READY_S
        while not (folder / at).exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_S)
        assert process.stderr is not None
        told = process.stderr.read()
    assert code in {0, 130}, told
    assert "Traceback" not in told
    assert not has_postgres(folder)
