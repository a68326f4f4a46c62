"""The folder that an embedded engine keeps: its lock, its address, its secret."""

from __future__ import annotations

import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

_SECRET_BYTES = 32
_PRIVATE = 0o600
_LOCK_S = 2.0
_LOCK_PAUSE_S = 0.02


class EngineAlreadyRunningError(Exception):
    """Another engine has this data folder."""


class EngineAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a running engine is found; `engine.json` holds it once it is ready."""

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
        return f"{self.host}:{self.grpc_port}"

    @property
    def http(self) -> str:
        """Return where HTTP listens."""
        return f"http://{self.host}:{self.http_port}"


class DataDir:
    """One data folder. The lock ends with its holder, however that ends."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is made yet."""
        self.path = path.expanduser().resolve()
        self.postgres = self.path / "postgres"
        self.blobs = self.path / "blobs"
        self._lock = self.path / "engine.lock"
        self._address = self.path / "engine.json"
        self._secret = self.path / "secret"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Own the folder; raises EngineRuns if somebody else does."""
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+") as file:
            if not self._lock_within(file, _LOCK_S):
                raise EngineAlreadyRunningError(self._who_runs())
            self._address.unlink(missing_ok=True)
            try:
                yield
            finally:
                self._address.unlink(missing_ok=True)

    def _lock_within(self, file: IO[str], seconds: float) -> bool:
        """Try for a moment: a command that looks for an engine holds it shortly."""
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

    def _who_runs(self) -> str:
        found = self._read()
        who = f"an engine (pid {found.pid}, gRPC {found.grpc})" if found else "another"
        return f"Expected {self.path} to be free, but {who} has it"

    def address(self) -> EngineAddress | None:
        """Return where the engine of this folder is; None if none is ready."""
        if not self._lock.exists():
            return None
        with self._lock.open("a+") as file:
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
        """Write where the engine is; for the owner of the folder only."""
        self._write_private(self._address, msgspec.json.encode(address))

    def secret(self) -> bytes:
        """Return the secret that links are signed with; drawn once, kept."""
        if not self._secret.exists():
            self._write_private(self._secret, secrets.token_bytes(_SECRET_BYTES))
        return self._secret.read_bytes()

    def _write_private(self, path: Path, data: bytes) -> None:
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        part.touch(mode=_PRIVATE)
        part.write_bytes(data)
        part.replace(path)
