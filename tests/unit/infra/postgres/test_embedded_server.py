"""The embedded server: started, adopted, killed, found in odd states."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.errors import PermanentError
from infra.postgres.embedded_server import PostgresServer

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[4]
STARTER = """
import sys, time
from pathlib import Path
from infra.postgres.embedded_server import PostgresServer
print(PostgresServer(Path(sys.argv[1]), durable=False).start(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder apart from pytest's: those are closed to all others by each session.

    Where the tests run as root the server is another user.
    """
    with tempfile.TemporaryDirectory(prefix="flightlog-test-") as folder:
        yield Path(folder)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server in a fresh folder, stopped in the end."""
    found = PostgresServer(tmp_path / "data" / "pg", durable=False)
    yield found
    found.stop()


def pid_file(tmp_path: Path) -> Path:
    """Where the server notes its process id."""
    return tmp_path / "data" / "pg" / "postmaster.pid"


def pid(tmp_path: Path) -> int:
    """The server's process id."""
    return int(pid_file(tmp_path).read_text().split()[0])


def answer(url: str, statement: str = "SELECT 1") -> object:
    """What the server says to a statement."""
    with psycopg.connect(url, autocommit=True) as conn:
        cursor = conn.execute(statement)
        return cursor.fetchone() if cursor.description else None


def test_started_adopted_stopped(server: PostgresServer, tmp_path: Path) -> None:
    """A second start finds the first server; a stop ends it; data stays."""
    url = server.start()
    answer(url, "CREATE TABLE kept (n int)")
    first = pid(tmp_path)
    assert PostgresServer(tmp_path / "data" / "pg").start() == url
    assert pid(tmp_path) == first
    server.stop()
    assert not pid_file(tmp_path).exists()
    server.stop()
    assert answer(server.start(), "SELECT count(*) FROM kept") == (0,)


def test_it_outlives_a_kill_and_a_ctrl_c_of_its_starter(
    server: PostgresServer, tmp_path: Path
) -> None:
    """The server is in no process group of the engine, and is adopted afterwards."""
    folder = tmp_path / "data" / "pg"
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert starter.stdout is not None
    url = starter.stdout.readline().strip()
    os.killpg(starter.pid, signal.SIGINT)
    starter.send_signal(signal.SIGKILL)
    starter.wait(10)
    starter.stdout.close()
    before = pid(tmp_path)
    assert server.start() == url
    assert pid(tmp_path) == before
    assert answer(url) == (1,)


def test_a_killed_server_recovers(server: PostgresServer, tmp_path: Path) -> None:
    """After kill -9 of the server itself the next start recovers the data."""
    answer(server.start(), "CREATE TABLE kept (n int)")
    os.kill(pid(tmp_path), signal.SIGKILL)
    assert answer(server.start(), "SELECT count(*) FROM kept") == (0,)


def test_a_start_waits_for_a_stop_under_way(
    server: PostgresServer, tmp_path: Path
) -> None:
    """Who comes while the server stops gets one that runs."""
    server.start()
    os.kill(pid(tmp_path), signal.SIGTERM)
    assert answer(server.start()) == (1,)


def test_a_process_id_of_somebody_else_is_no_server(
    server: PostgresServer, tmp_path: Path
) -> None:
    """After a power cut the noted id may be another process's: it is not adopted."""
    server.start()
    note = pid_file(tmp_path).read_text().split("\n")
    server.stop()
    note[0] = str(os.getpid())
    pid_file(tmp_path).write_text("\n".join(note))
    assert answer(server.start()) == (1,)
    assert pid(tmp_path) != os.getpid()


def test_a_half_made_database_is_recreated(
    server: PostgresServer, tmp_path: Path
) -> None:
    """After a kill while the files were created, the next start creates all of them."""
    part = tmp_path / "data" / "pg.new"
    part.mkdir(parents=True)
    (part / "PG_VERSION").write_text("18\n")
    assert answer(server.start()) == (1,)
    assert not part.exists()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    """A folder too deep for a socket works all the same, and keeps others out."""
    server = PostgresServer(tmp_path / ("deep and long" * 9) / "pg", durable=False)
    url = server.start()
    try:
        assert answer(url) == (1,)
        folder = Path(url.partition("host=")[2])
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / ".s.PGSQL.5432").stat().st_mode) == 0o700
    finally:
        server.stop()


def test_data_of_another_version_is_refused(tmp_path: Path) -> None:
    """The refusal names both versions."""
    (tmp_path / "PG_VERSION").write_text("16\n")
    with pytest.raises(PermanentError, match=r"18 .* 16"):
        PostgresServer(tmp_path).start()


def test_folders_above_stay_closed_to_listing(
    server: PostgresServer, tmp_path: Path
) -> None:
    """Others may at most pass through the folders above the data."""
    tmp_path.chmod(0o700)
    server.start()
    assert not tmp_path.stat().st_mode & (stat.S_IROTH | stat.S_IRGRP)


def test_a_stop_is_quick(server: PostgresServer) -> None:
    """A stop with connections open doesn't wait for them."""
    url = server.start()
    with psycopg.connect(url):
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5
