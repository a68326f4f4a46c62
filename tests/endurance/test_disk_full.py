"""A full disk: everything waits, says so, and goes on by itself when there is room."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.endurance.duration import chosen
from tests.endurance.engine import watched
from tests.endurance.processes import wait_for_postgres

FULL_S = chosen(8, 60)
SIZE = "400m"
_CHUNK = bytes(64 * 1024)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system of its own"),
]


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk."""
    with tempfile.TemporaryDirectory(prefix="flightlog-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "t", folder]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a disk can't be mounted here: {done.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=False)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill the disk within the block, down to its last byte."""
    filler, size = disk / "filler", len(_CHUNK)
    with filler.open("ab", buffering=0) as file:
        while size:
            try:
                file.write(_CHUNK[:size])
            except OSError:
                size //= 2
    try:
        yield
    finally:
        filler.unlink()


def test_a_full_disk_is_waited_for(disk: Path) -> None:
    """Whatever Postgres makes of it; no task is lost or run twice for it."""
    with watched(disk / "data") as engine:
        url = engine.running.postgres()
        time.sleep(3)
        with filled(disk):
            full_s = time.monotonic()
            time.sleep(FULL_S)
            shown = engine.running.flightlog("status")
            freed_s = time.monotonic()
            engine.health.expect_away(full_s, freed_s, "disk")
        assert shown.returncode == 0, shown.stderr
        assert "not ready" in shown.stdout
        assert "Waiting for the disk" in shown.stdout
        assert "Traceback" not in shown.stdout + shown.stderr
        back_s = wait_for_postgres(url)
        time.sleep(4)
        engine.health.expect_ready(back_s, time.monotonic())
        engine.check(lines_max=8)
