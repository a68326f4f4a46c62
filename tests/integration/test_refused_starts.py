"""A start that can't succeed: one sentence, exit code 1, and nothing was begun."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.postgres.embedded_server import PostgresServer

pytestmark = pytest.mark.integration
UP = ("up", "--grpc-port", "0", "--http-port", "0")
ROLE = ("start", "gateway", "--grpc-port", "0", "--http-port", "0")
SHARED = {
    "FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "FLIGHTLOG_POSTGRES": "postgresql://me@127.0.0.1:1/x",
    "FLIGHTLOG_BLOBS": "s3://bucket",
}


def flightlog(
    *words: str, wrapper: tuple[str, ...] = (), **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does."""
    return subprocess.run(
        [*wrapper, sys.executable, "-m", "gateway.cli", *words],
        capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, **env},
    )  # fmt: skip


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line that a refused start prints."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder on which no Postgres is made."""
    found = tmp_path / "data"
    yield found
    assert not (found / "postgres").exists()


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_data_folder_that_is_none(tmp_path: Path, command: str) -> None:
    """The folder is named, and what is wrong with it."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "data"
    done = flightlog(command, FLIGHTLOG_DATA_DIR=str(folder))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(folder) in line
    assert line.endswith("but: Not a directory")


@pytest.mark.skipif(
    shutil.which("setpriv") is None or os.geteuid() != 0, reason="drops root's rights"
)
def test_a_home_that_cannot_be_written_to(tmp_path: Path) -> None:
    """Root's right to write everywhere is dropped."""
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    wrapper = ("setpriv", "--bounding-set", "-dac_override")
    line = refusal(flightlog(*UP, wrapper=wrapper, HOME=str(home)))
    assert f"{home}/.flightlog (FLIGHTLOG_DATA_DIR), but: Permission denied" in line


def test_a_home_that_is_unknown() -> None:
    """As for a user without an entry in the list of users."""
    done = flightlog("status", FLIGHTLOG_DATA_DIR="~no-such-user/x")
    assert done.returncode == 2
    assert "FLIGHTLOG_DATA_DIR: Expected a home folder for ~no-such-user/x" in (
        done.stderr
    )


def test_a_python_that_is_missing(folder: Path) -> None:
    """Tasks couldn't run, so nothing is started."""
    env = {"FLIGHTLOG_PROCESS__PYTHON": "/no/python"}
    line = refusal(flightlog(*UP, "--data-dir", str(folder), **env))
    assert "at '/no/python' (FLIGHTLOG_PROCESS__PYTHON), but there is none" in line
    line = refusal(flightlog("start", "runner", **SHARED, **env))
    assert "FLIGHTLOG_PROCESS__PYTHON" in line


@pytest.mark.parametrize("option", ["--grpc-port", "--http-port"])
@pytest.mark.parametrize("words", [UP, ROLE])
def test_a_port_that_is_taken(
    folder: Path, option: str, words: tuple[str, ...]
) -> None:
    """Told before anything is started, and without a line of a library."""
    env = SHARED if words == ROLE else {}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = flightlog(*words, option, str(port), "--data-dir", str(folder), **env)
    assert done.returncode == 1
    expected = f"Expected port {port} of 127.0.0.1 to be free"
    assert done.stderr.splitlines()[-1].startswith(expected)
    assert len(done.stderr.splitlines()) == (2 if words == ROLE else 1)


def test_an_address_that_is_not_this_machines(folder: Path) -> None:
    """It isn't told as a port in use."""
    env = {"FLIGHTLOG_HOST": "192.0.2.1", "FLIGHTLOG_DATA_DIR": str(folder)}
    line = refusal(flightlog(*UP, **env))
    assert "Expected to listen on 192.0.2.1:0, but: Cannot assign" in line


@pytest.mark.parametrize("where", ["gs://bucket/x", "s3://", "s3:bucket"])
def test_blobs_nowhere(folder: Path, where: str) -> None:
    """A misspelt address of a bucket doesn't become a folder."""
    env = {"FLIGHTLOG_BLOBS": where, "FLIGHTLOG_DATA_DIR": str(folder)}
    line = refusal(flightlog(*UP, **env))
    assert f"or s3://bucket/prefix in FLIGHTLOG_BLOBS, but got '{where}'" in line


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Postgres that asks `me` for a password, and has a database in LATIN1."""
    folder = tmp_path_factory.mktemp("postgres") / "pg"
    server = PostgresServer(folder, durable=False)
    url = server.start()
    (folder / "pg_hba.conf").write_text(
        "local all postgres trust\nlocal all all scram-sha-256\n"
    )
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE ROLE me LOGIN PASSWORD 'right'")
        conn.execute(
            "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' "
            "TEMPLATE template0"
        )
        conn.execute("SELECT pg_reload_conf()")
    yield url
    server.stop()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("postgres:@", "me:hush@"), "password authentication failed"),
        (("postgres:@", "me@"), "no password supplied"),
        (("/postgres?", "/none?"), 'database "none" does not exist'),
        (("/postgres?", "/latin?"), "Expected a database in UTF8"),
        (("host=", "host=/no"), "Cannot reach Postgres"),
        (("host=", "no="), 'invalid URI query parameter: "no"'),
        (("postgresql://", "host="), "to be a URL postgresql://"),
    ],
)
@pytest.mark.parametrize("command", ["up", "verify"])
def test_a_postgres_that_cannot_be_used(
    postgres: str, folder: Path, command: str, change: tuple[str, str], why: str
) -> None:
    """One sentence, without the password."""
    url = postgres.replace(*change, 1)
    words = UP if command == "up" else (command,)
    env = {"FLIGHTLOG_POSTGRES": url, "FLIGHTLOG_PLUGIN": "echo"}
    line = refusal(flightlog(*words, "--data-dir", str(folder), **env))
    assert why in line
    assert "hush" not in line


def test_a_postgres_without_rights_or_tables(postgres: str, folder: Path) -> None:
    """An engine creates its tables; a command expects them."""
    url = postgres.replace("postgres:@", "me:right@", 1)
    env = {"FLIGHTLOG_POSTGRES": url, "FLIGHTLOG_DATA_DIR": str(folder)}
    assert "allowed to create tables" in refusal(flightlog(*UP, **env))
    assert "but there is none" in refusal(flightlog("verify", **env))


def test_a_role_that_postgres_refuses(postgres: str, folder: Path) -> None:
    """It waits for a server that is away, but not for one that refuses it."""
    env = SHARED | {
        "FLIGHTLOG_POSTGRES": postgres.replace("postgres:@", "me:hush@"),
        "FLIGHTLOG_BLOBS": str(folder.parent),
        "FLIGHTLOG_DATA_DIR": str(folder),
        "FLIGHTLOG_LOG_JSON": "true",
    }
    done = flightlog(*ROLE, **env)
    assert done.returncode == 1
    warned, _, told = map(json.loads, done.stderr.splitlines())
    assert warned["event"] == "blobs_in_folder"
    assert warned["folder"] == str(folder.parent)
    assert "password authentication failed" in told["event"]


@pytest.mark.parametrize("role", ["gateway", "propeller", "runner"])
def test_roles_on_a_folder_of_their_own(role: str) -> None:
    """Blobs in the data folder of one host aren't shared."""
    env = SHARED | {"FLIGHTLOG_BLOBS": ""}
    line = refusal(flightlog("start", role, **env))
    assert line.startswith("Expected FLIGHTLOG_BLOBS to be set, as roles share them")


def test_json(folder: Path) -> None:
    """Where logs are JSON, what ends a start is JSON, too."""
    env = {"FLIGHTLOG_LOG_JSON": "true", "FLIGHTLOG_DATA_DIR": str(folder)}
    missing = flightlog(*UP, **env, FLIGHTLOG_PROCESS__PYTHON="/no/python")
    assert "/no/python" in json.loads(refusal(missing))["event"]
    misspelt = flightlog(*UP, **env, FLIGHTLOG_GRPC_PROT="1")
    assert misspelt.returncode == 2
    assert "FLIGHTLOG_GRPC_PORT" in json.loads(misspelt.stderr)["event"]
