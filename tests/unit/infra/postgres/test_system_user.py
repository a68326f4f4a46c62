"""The user that Postgres runs as if the engine is root, and what it can reach."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import PermanentError
from infra.postgres import embedded_server, system_user
from infra.postgres.embedded_server import PostgresServer
from infra.postgres.system_user import Account, closed_folder, own, server_account

OTHER = Account(uid=54_321, gid=54_321)
USERS, GROUPS = Path("/etc/passwd"), Path("/etc/group")

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder that nobody but root may enter, like root's home."""
    found = tmp_path / "private"
    found.mkdir(mode=0o700)
    return found


@pytest.fixture
def server(private: Path) -> Iterator[PostgresServer]:
    """A server in there, stopped in the end."""
    found = PostgresServer(private / "data" / "pg", durable=False)
    yield found
    found.stop()


@pytest.fixture
def without_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have taken root's capabilities away."""
    monkeypatch.setattr(system_user, "_keeps_capability", lambda: False)


def modes(folder: Path) -> dict[Path, int]:
    """The modes of a folder and of all above it."""
    return {
        part: stat.S_IMODE(part.stat().st_mode) for part in (folder, *folder.parents)
    }


def test_postgres_runs_as_the_engines_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other user is needed, unless that is root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert server_account(tmp_path) is None


def test_without_such_a_user_its_usual_number_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small image may have no list of users."""

    def missing(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", missing)

    assert server_account(tmp_path / "new") == Account(65534, 65534)


@as_root
@pytest.mark.integration
def test_as_root_nothing_outside_the_data_changes(
    server: PostgresServer, private: Path
) -> None:
    """No user is added, and no folder is opened to others."""
    users, before = USERS.read_bytes() + GROUPS.read_bytes(), modes(private)
    server.start()

    assert USERS.read_bytes() + GROUPS.read_bytes() == users
    assert modes(private) == before
    assert (private / "data" / "pg").stat().st_uid == pwd.getpwnam("nobody").pw_uid


@as_root
@pytest.mark.integration
@pytest.mark.parametrize("owner", [OTHER, Account(0, 0)])
def test_data_of_another_user_start_as_theirs(
    owner: Account, server: PostgresServer, private: Path
) -> None:
    """Those of before, even if the user is gone; root's own (a copy) are given away."""
    server.start()
    server.stop()
    folder = private / "data" / "pg"
    own(folder, owner)
    server.start()

    assert folder.stat().st_uid in {OTHER.uid, pwd.getpwnam("nobody").pw_uid}
    assert (folder / "postmaster.pid").stat().st_uid == folder.stat().st_uid


@as_root
@pytest.mark.usefixtures("without_capability")
def test_a_closed_folder_is_named(server: PostgresServer, private: Path) -> None:
    """Without the capability the folders must be open, and nobody opens them."""
    with pytest.raises(PermanentError) as refused:
        server.start()

    closed = closed_folder(private, server_account(private / "new"))
    assert f"but {closed} is closed to it" in str(refused.value)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
@pytest.mark.integration
@pytest.mark.usefixtures("without_capability")
def test_open_folders_need_no_capability() -> None:
    """Where everybody may enter, Postgres is just another user."""
    if closed_folder(embedded_server.binaries(), OTHER) is not None:
        pytest.skip("the packages are closed to others")
    with tempfile.TemporaryDirectory(prefix="flightlog-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PostgresServer(folder / "data" / "pg", durable=False)
        try:
            server.start()
            assert server.is_running()
        finally:
            server.stop()
