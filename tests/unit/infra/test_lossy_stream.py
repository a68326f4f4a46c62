"""Output whose reader is gone: it is lost, and nothing fails of it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.lossy_stream import LossyStream

FULL = Path("/dev/full")


def test_a_reader_that_is_gone() -> None:
    """Nothing is raised, and the descriptor leads nowhere afterwards."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        lossy = LossyStream(stream)
        lossy.write("lost\n")
        lossy.flush()
        assert os.path.samestat(os.fstat(writing), Path(os.devnull).stat())
        stream.write("more")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk() -> None:
    """What doesn't fit is lost; the file stays, as there may be room later."""
    with FULL.open("wb", buffering=0) as raw:
        stream = io.TextIOWrapper(raw, write_through=True)  # type: ignore[type-var]
        LossyStream(stream).write("lost\n")
        assert os.path.samestat(os.fstat(raw.fileno()), FULL.stat())
        stream.detach()


def test_a_closed_stream() -> None:
    """A stream that was closed under it raises nothing either."""
    stream = io.StringIO()
    stream.close()
    lossy = LossyStream(stream)
    assert lossy.write("lost") == 4
    lossy.flush()
    assert not lossy.isatty()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_commands_run_with_closed_streams(closed: str, tmp_path: Path) -> None:
    """As daemons are started by some: no file gets a standard stream's number."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m gateway.cli status {closed}', sys.executable],
        env={**os.environ, "FLIGHTLOG_DATA_DIR": str(tmp_path / "none")},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


def test_an_encoding_that_is_not_utf8(tmp_path: Path) -> None:
    """A command starts again in UTF-8: names of files and texts aren't ASCII only."""
    folder = tmp_path / "März"
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "status", "--data-dir", str(folder)],
        env={**os.environ, **env}, check=False, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    assert "".join(lines) == f"No engine is running on {folder}"


def test_a_command_whose_reader_leaves(tmp_path: Path) -> None:
    """`flightlog … | head` ends without a word."""
    script = '("$0" -m gateway.cli status; echo $? >&2) | true'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable],
        env={**os.environ, "FLIGHTLOG_DATA_DIR": str(tmp_path / "none")},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stderr.strip().isdigit()
