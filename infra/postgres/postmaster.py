"""A Postgres server as its postmaster.pid describes it: its process and its socket."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

SOCKET = ".s.PGSQL.5432"
_PID_FILE = "postmaster.pid"
_PID_FILE_LINES = 8
_CONNECT_TIMEOUT_S = 2


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The server of a data folder: running, starting, stopping or dead."""

    folder: Path
    pid: int
    socket_folder: str
    is_ready: bool

    @property
    def url(self) -> str:
        """The URL of the server's database."""
        return f"postgresql://postgres:@/postgres?host={quote(self.socket_folder)}"

    def is_running(self) -> bool:
        """Return whether a running Postgres has the process id.

        A dead one keeps its id and name until it is reaped, which may take seconds.
        """
        if not _is_alive(self.pid):
            return False
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            return not Path("/proc/self").exists()  # not Linux: assume so
        name, _, rest = status.partition("(")[2].rpartition(")")
        return name == "postgres" and rest.split()[0] not in {"Z", "X"}

    def accepts_connections(self) -> bool:
        """Return whether it can be connected to."""
        try:
            psycopg.connect(self.url, connect_timeout=_CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError:
            return False
        return True

    def remove_stale_files(self) -> None:
        """Delete the pid and lock files of a dead server whose process id is in use.

        Another process has it now, or the dead one until it is reaped. If nobody has
        the id, Postgres deletes the files itself.
        """
        if not _is_alive(self.pid):
            return
        (self.folder / _PID_FILE).unlink(missing_ok=True)
        if self.socket_folder:
            Path(self.socket_folder, f"{SOCKET}.lock").unlink(missing_ok=True)


def read(folder: Path) -> Postmaster | None:
    """Return the server of a data folder; None if none has left a pid file."""
    try:
        lines = (folder / _PID_FILE).read_text().splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().isdigit():
        return None
    is_complete = len(lines) >= _PID_FILE_LINES
    return Postmaster(
        folder=folder,
        pid=int(lines[0]),
        socket_folder=lines[4].strip() if is_complete else "",
        is_ready=is_complete and lines[7].strip() == "ready",
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
