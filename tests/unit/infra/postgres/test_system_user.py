"""The user that Postgres runs as, and what it must be allowed to reach."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.errors import PermanentError
from infra.postgres import system_user
from infra.postgres.system_user import (
    Account,
    allow_reading,
    allow_traversal,
    server_account,
)

OTHER = Account(uid=54_321, gid=54_321)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_postgres_runs_as_the_engines_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other user is needed, unless that is root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert server_account() is None


def test_as_root_postgres_runs_as_a_user_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Postgres refuses root."""
    known = SimpleNamespace(pw_uid=7, pw_gid=8)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: known)

    assert server_account() == Account(uid=7, gid=8)


@pytest.mark.parametrize(
    ("program", "text"),
    [
        (None, "there is none and no useradd"),
        ("exit 3", "Expected to create user 'pgserver', but: no room"),
    ],
)
def test_a_user_that_cannot_be_created_is_reported(
    program: str | None, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what an administrator has to do."""

    def missing(name: str) -> None:
        raise KeyError(name)

    if program is not None:
        useradd = tmp_path / "useradd"
        useradd.write_text(f"#!/bin/sh\nprintf 'no room' >&2\n{program}\n")
        useradd.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", missing)

    with pytest.raises(PermanentError, match=text):
        server_account()


def test_a_missing_user_is_created_as_a_system_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a home and a shell; then it is looked up again."""
    asked, created = tmp_path / "asked", SimpleNamespace(pw_uid=7, pw_gid=8)
    useradd = tmp_path / "useradd"
    useradd.write_text(f'#!/bin/sh\necho "$@" > {asked}\n')
    useradd.chmod(0o755)

    def once_created(name: str) -> SimpleNamespace:
        if not asked.exists():
            raise KeyError(name)
        return created

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", once_created)

    assert server_account() == Account(uid=7, gid=8)
    assert asked.read_text().split() == [
        "--system", "--no-create-home", "--shell", "/usr/sbin/nologin",
        system_user.NAME,
    ]  # fmt: skip


def test_another_user_may_pass_through_folders_but_not_list_them(
    tmp_path: Path,
) -> None:
    """A data folder below a private one can be reached; files stay private."""
    outer = tmp_path / "outer"
    inner = outer / "inner"
    inner.mkdir(parents=True)
    for folder in (outer, inner):
        folder.chmod(0o700)
    allow_traversal(inner, OTHER)

    assert _mode(outer) == _mode(inner) == 0o701


def test_the_engines_own_user_needs_no_rights(tmp_path: Path) -> None:
    """Nothing is changed for it, nor for folders that are its own."""
    tmp_path.chmod(0o700)
    sample = tmp_path / "sample"
    sample.touch(mode=0o600)
    allow_traversal(tmp_path, None)
    allow_traversal(tmp_path, Account(tmp_path.stat().st_uid, 0))
    allow_reading(tmp_path, sample, None)

    assert (_mode(tmp_path), _mode(sample)) == (0o700, 0o600)


def test_installed_files_become_readable_where_a_umask_prevents_it(
    tmp_path: Path,
) -> None:
    """Programs stay executable, data doesn't become so; links are left alone."""
    folder = tmp_path / "share"
    folder.mkdir(mode=0o700)
    program, data, link = folder / "postgres", folder / "data", folder / "link"
    program.touch()
    data.touch()
    program.chmod(0o700)
    data.chmod(0o600)
    link.symlink_to(tmp_path / "nowhere")
    allow_reading(folder, program, OTHER)

    assert (_mode(folder), _mode(program), _mode(data)) == (0o705, 0o705, 0o604)


def test_files_that_are_readable_are_not_visited(tmp_path: Path) -> None:
    """One program stands for the whole installation: it may be large."""
    program, other = tmp_path / "postgres", tmp_path / "other"
    program.touch()
    other.touch()
    program.chmod(0o755)
    other.chmod(0o600)
    allow_reading(tmp_path, program, OTHER)

    assert _mode(other) == 0o600
