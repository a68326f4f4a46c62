"""Clocks of single processes that jump, by libfaketime; never the machine's."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_PRELOADED = str(Path(__file__).parent / "preloaded")
_LIBRARY = "*/faketime/libfaketimeMT.so.1"


def library() -> str | None:
    """Return where libfaketime is, if infra/deploy/components/faketime.sh found it."""
    return next((str(found) for found in Path("/usr/lib").glob(_LIBRARY)), None)


class Clock:
    """The wall clock of one process; its monotonic clock goes on."""

    def __init__(self, file: Path) -> None:
        """Begin at the right time."""
        self._file = file
        self.set(0)

    def set(self, offset_s: float) -> None:
        """Let the process see a time that is off by this, within a second."""
        part = self._file.with_suffix(".new")
        part.write_text(f"{offset_s:+.1f}")
        part.replace(self._file)

    def environment(self) -> Mapping[str, str]:
        """Return what the process must be started with; nothing without the library."""
        found = library()
        if found is None:
            return {}
        paths = (_PRELOADED, os.environ.get("PYTHONPATH", ""))
        return {
            "LD_PRELOAD": found,
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
