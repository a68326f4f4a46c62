"""The user that Postgres runs as if the engine is root, which Postgres refuses.

It is `nobody`, which every system has; a folder that is another user's already keeps
it. So that no folder above the data has to be opened to others, the server keeps the
one capability that passes over the modes of files.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

_NOBODY = "nobody"
_NOBODY_ID = 65534
_CAPABILITY = "+dac_override"
_CHECK_S = 10


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by its numbers."""

    uid: int
    gid: int


def server_account(folder: Path) -> Account | None:
    """Return the user to run a folder's server as; None for the engine's own."""
    if os.geteuid() != 0:
        return None
    if folder.exists() and (owner := folder.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        found = pwd.getpwnam(_NOBODY)
    except KeyError:
        return Account(_NOBODY_ID, _NOBODY_ID)
    return Account(found.pw_uid, found.pw_gid)


def own(folder: Path, account: Account | None) -> None:
    """Give a folder, and what is inside, to a user: Postgres wants to own its data."""
    if account is None or folder.stat().st_uid == account.uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def run_as(
    account: Account | None, command: Sequence[str], timeout_s: float, output: IO[str]
) -> int:
    """Run a command as a user, in a session of its own; return its exit status.

    Raises OSError if it can't be run, subprocess.TimeoutExpired.
    """
    prefix: Sequence[str] = ()
    if account is not None and _keeps_capability():
        prefix, account = _setpriv(account), None  # it changes the user itself
    done = subprocess.run(  # noqa: S603 - the caller's programs and paths
        [*prefix, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd="/",
        check=False,
        start_new_session=True,
        timeout=timeout_s,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )
    return done.returncode


def closed_folder(path: Path, account: Account | None) -> Path | None:
    """Return the first folder on the way to a path that a user can't enter.

    Folders that aren't there yet are no obstacle.
    """
    if account is None or _keeps_capability():
        return None
    with tempfile.TemporaryFile("w+") as output:
        for part in reversed((path, *path.parents)):
            command = ("test", "-x", str(part))
            if part.exists() and run_as(account, command, _CHECK_S, output) != 0:
                return part
    return None


def _setpriv(account: Account) -> Sequence[str]:
    program = shutil.which("setpriv") or "setpriv"
    user = (f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups")
    capability = (f"--inh-caps={_CAPABILITY}", f"--ambient-caps={_CAPABILITY}")
    return (program, *user, *capability, "--")


@cache
def _keeps_capability() -> bool:
    """Return whether root can pass the capability on: a container may have lost it."""
    command = (*_setpriv(Account(_NOBODY_ID, _NOBODY_ID)), "true")
    try:
        done = subprocess.run(  # noqa: S603 - constant
            command, check=False, capture_output=True, timeout=_CHECK_S
        )
    except OSError:
        return False
    return done.returncode == 0
