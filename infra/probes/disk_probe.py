"""The probe of the disk: free bytes, and a small file that is written and removed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_NAME = ".probe"
_BYTES = bytes(4096)
_MIB = 2**20


class DiskProbe:
    """Asks whether folders can be written, and have room."""

    def __init__(self, folders: Sequence[Path], free_bytes_min: int) -> None:
        """Ask for these folders; missing ones are made."""
        self._folders = folders
        self._free_bytes_min = free_bytes_min
        self._thread = ThreadPoolExecutor(1, "disk-probe")  # a disk may hang

    async def check(self) -> None:
        """Return if each folder can be written; raises OSError if not."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._check)

    async def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _check(self) -> None:
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            found = os.statvfs(folder)
            free = found.f_bavail * found.f_frsize
            if free < self._free_bytes_min:
                raise OSError(
                    f"{free / _MIB:.1f} MiB are free at {folder}, fewer than "
                    f"{self._free_bytes_min / _MIB:g}"
                )
            file = folder / _NAME
            try:
                file.write_bytes(_BYTES)
            finally:
                file.unlink(missing_ok=True)
