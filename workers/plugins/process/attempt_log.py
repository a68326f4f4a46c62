"""The log of an attempt: what its process writes to stdout and stderr."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from infra.blobs.files import CHUNK_BYTES, Blobs, in_folder
from infra.errors import InfraError
from infra.retry import retry_transient
from schemas.paths import LOG, path_in
from workers.plugins.plugin import Work

log_ = structlog.get_logger(__name__)

_TAIL_BYTES = 4000
_BLANK_BYTES_MAX = 100
"""Longer logs are kept, whatever is in them."""


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """A file by the output prefix; a local one first, if blobs aren't files."""

    path: Path
    uri: str

    @classmethod
    def of(cls, work: Work, local: Path) -> AttemptLog:
        """Return the log of an attempt; `local` is a folder of its own."""
        uri = path_in(work.output_prefix, LOG)
        is_file = work.output_prefix.startswith("/")
        return cls(Path(uri) if is_file else local / LOG, uri)

    def create(self) -> None:
        """Create the file, empty: its folder stays as long as it is in there."""
        in_folder(self.path, self.path.touch)

    def tail(self) -> str:
        """Return the end of the log; nothing if there is no log."""
        try:
            with self.path.open("rb") as log:
                log.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
                return log.read(_TAIL_BYTES).decode(errors="replace")
        except OSError:
            return ""

    async def store(self, blobs: Blobs, bytes_max: int) -> None:
        """Store the log of an attempt that has ended, and remove its local file.

        One without a word isn't kept: flytekit begins each with an empty line.
        """
        is_blob, is_blank = str(self.path) == self.uri, self._is_blank()
        if is_blank:
            with suppress(OSError):
                self.path.unlink()
        if is_blob or not self.path.parent.exists():
            return
        if not is_blank:
            await self._put(blobs, bytes_max)
        await asyncio.to_thread(shutil.rmtree, self.path.parent)

    def _is_blank(self) -> bool:
        try:
            with self.path.open("rb") as log:
                begin = log.read(_BLANK_BYTES_MAX + 1)
        except OSError:
            return True
        return len(begin) <= _BLANK_BYTES_MAX and not begin.strip()

    async def _put(self, blobs: Blobs, bytes_max: int) -> None:
        async def put() -> None:
            await blobs.put_stream(self.uri, read_chunks(self.path), bytes_max)

        try:
            await retry_transient(put, "task_log_delayed")
        except InfraError as error:
            log_.warning("task_log_not_stored", uri=self.uri, error=str(error))


async def read_chunks(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's bytes, a chunk at a time."""
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
