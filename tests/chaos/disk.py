"""A small disk of its own for a component's data, which can be filled and freed."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STEP = 256 * 2**20
_PAGE = 4096


class Disk:
    """A folder with limited room."""

    def __init__(self, folder: Path) -> None:
        """Use a folder that is a mount of its own."""
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take all the room that is left: allocated, as writing it takes seconds."""
        size, step = 0, _STEP
        with self._filler.open("wb") as out:
            while step >= _PAGE:
                try:
                    os.posix_fallocate(out.fileno(), size, step)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2
                else:
                    size += step

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def disk(folder: Path, size_mb: int) -> Iterator[Disk | None]:
    """Mount a disk in memory at a folder; None, on a plain folder, unless by root."""
    folder.mkdir(parents=True)
    if os.geteuid() != 0 or not _mount(folder, size_mb):
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _mount(folder: Path, size_mb: int) -> bool:
    options = f"size={size_mb}m,mode=755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "flightlog-chaos", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == 0
