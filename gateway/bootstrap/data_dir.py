"""The data folder of an embedded engine: its lock, address and secret."""

from __future__ import annotations

import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import msgspec

from infra.addresses import authority
from infra.errors import PermanentError

_SECRET_BYTES = 32
_PRIVATE = 0o600
_LOCK_S = 2.0
_LOCK_PAUSE_S = 0.02


class EngineAlreadyRunningError(Exception):
    """The data folder is used by another engine."""


class EngineAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a running engine, in `engine.json` once it is ready."""

    pid: int
    host: str
    grpc_port: int
    http_port: int
    postgres: str
    version: str
    started_at_us: int

    @property
    def grpc(self) -> str:
        """Return where gRPC listens."""
        return authority(self.host, self.grpc_port)

    @property
    def http(self) -> str:
        """Return where HTTP listens."""
        return f"http://{authority(self.host, self.http_port)}"


class DataDir:
    """One data folder. Its lock is released when the process ends, however it does."""

    def __init__(self, path: Path) -> None:
        """Take the path; nothing is created yet."""
        self.path = path.expanduser().resolve()
        self.postgres = self.path / "postgres"
        self.blobs = self.path / "blobs"
        self._lock = self.path / "engine.lock"
        self._address = self.path / "engine.json"
        self._secret = self.path / "secret"

    def prepare(self) -> None:
        """Create the folder; raises PermanentError if it can't be written to."""
        with self._accessible():
            self.path.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self.path):
                pass

    @contextmanager
    def _accessible(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PermanentError(
                f"Expected to read and write the data folder {self.path} "
                f"(FLIGHTLOG_DATA_DIR), but: {error.strerror}"
            ) from error

    def _opened_lock(self) -> IO[str]:
        with self._accessible():
            return self._lock.open("a+")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock the folder; raises EngineAlreadyRunningError if another engine has.

        Raises PermanentError if the folder can't be written to.
        """
        self.prepare()
        with self._opened_lock() as file:
            if not self._lock_within(file, _LOCK_S):
                raise EngineAlreadyRunningError(self._in_use())
            self._address.unlink(missing_ok=True)
            try:
                yield
            finally:
                self._address.unlink(missing_ok=True)

    def _lock_within(self, file: IO[str], seconds: float) -> bool:
        """Retry for a moment: a command that probes the lock holds it briefly."""
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(_LOCK_PAUSE_S)
            else:
                return True

    def _in_use(self) -> str:
        found = self._read()
        who = f"an engine (pid {found.pid}, gRPC {found.grpc})" if found else "another"
        return f"Expected {self.path} to be free, but {who} uses it"

    def address(self) -> EngineAddress | None:
        """Return the addresses of this folder's engine; None if none is ready."""
        with self._accessible():
            if not self._lock.exists():
                return None
        with self._opened_lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._read()
        return None

    def _read(self) -> EngineAddress | None:
        try:
            return msgspec.json.decode(self._address.read_bytes(), type=EngineAddress)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def announce(self, address: EngineAddress) -> None:
        """Write the engine's addresses; only the holder of the lock may."""
        self._write_private(self._address, msgspec.json.encode(address))

    def secret(self) -> bytes:
        """Return the key that signs links, generated once and stored."""
        if not self._secret.exists():
            self._write_private(self._secret, secrets.token_bytes(_SECRET_BYTES))
        return self._secret.read_bytes()

    def _write_private(self, path: Path, data: bytes) -> None:
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        part.touch(mode=_PRIVATE)
        part.write_bytes(data)
        part.replace(path)
