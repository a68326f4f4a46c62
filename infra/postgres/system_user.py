"""The user that Postgres runs as: the engine's own, or another if that is root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.errors import PermanentError

NAME = "pgserver"
_USERADD_S = 30


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """Return the user to run as, None for the engine's; Postgres refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(NAME)
    except KeyError:
        _add_user()
        found = pwd.getpwnam(NAME)
    return Account(found.pw_uid, found.pw_gid)


def _add_user() -> None:
    program = shutil.which("useradd")
    if program is None:
        raise PermanentError(
            f"Expected a user '{NAME}' for Postgres, which can't run as root, but "
            "there is none and no useradd; create it, or run as another user"
        )
    arguments = ("--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME)
    done = subprocess.run(  # noqa: S603 - constant arguments
        [program, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=_USERADD_S,
    )
    if done.returncode != 0:
        raise PermanentError(f"Expected to create user '{NAME}', but: {done.stderr}")


def allow_traversal(folder: Path, account: Account | None) -> None:
    """Let another user traverse, but not list, the folders above this one."""
    if account is None:
        return
    for part in (folder, *folder.parents):
        found = part.stat()
        if found.st_uid != account.uid and not found.st_mode & stat.S_IXOTH:
            part.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def allow_reading(folder: Path, sample: Path, account: Account | None) -> None:
    """Let another user read installed files, which a strict umask prevents."""
    needed = stat.S_IROTH | stat.S_IXOTH
    if account is None or sample.stat().st_mode & needed == needed:
        return
    for part in (folder, *folder.rglob("*")):
        if not part.is_symlink():
            mode = part.stat().st_mode
            runs = part.is_dir() or mode & stat.S_IXUSR
            part.chmod(stat.S_IMODE(mode) | (needed if runs else stat.S_IROTH))
