"""The log of an attempt: what its process writes to stdout and stderr."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from infra.blobs.files import CHUNK_BYTES, Blobs
from infra.errors import InfraError
from infra.retry import retry_transient
from workers.plugins.plugin import Work

log_ = structlog.get_logger(__name__)

FILE_NAME = "log.txt"
_TAIL_BYTES = 4000


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """A file below the output prefix; a local one first, if blobs aren't files."""

    path: Path
    uri: str

    @classmethod
    def of(cls, work: Work, local: Path) -> AttemptLog:
        """Return the log of an attempt; `local` is a folder of its own."""
        uri = f"{work.output_prefix}/{FILE_NAME}"
        is_file = work.output_prefix.startswith("/")
        return cls(Path(uri) if is_file else local / FILE_NAME, uri)

    def tail(self) -> str:
        """Return the end of the log; nothing if there is no log."""
        try:
            with self.path.open("rb") as log:
                log.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
                return log.read(_TAIL_BYTES).decode(errors="replace")
        except OSError:
            return ""

    async def store(self, blobs: Blobs, bytes_max: int) -> None:
        """Store the log of an attempt that has ended, and remove its local file."""
        if str(self.path) == self.uri or not self.path.exists():
            return

        async def put() -> None:
            await blobs.put_stream(self.uri, read_chunks(self.path), bytes_max)

        try:
            await retry_transient(put, "task_log_delayed")
        except InfraError as error:
            log_.warning("task_log_not_stored", uri=self.uri, error=str(error))
        await asyncio.to_thread(shutil.rmtree, self.path.parent)


async def read_chunks(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's bytes, a chunk at a time."""
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
