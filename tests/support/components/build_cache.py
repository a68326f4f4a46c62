"""Where `make components` puts what tests need beside Python."""

from __future__ import annotations

import os
from pathlib import Path


def cache() -> Path:
    """Return the folder of built components."""
    given = os.environ.get("TESTS_CACHE")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "flightlog"


def cached(pattern: str, script: str) -> Path:
    """Return the newest component of a pattern; the script would build it."""
    found = sorted(cache().glob(pattern), key=lambda path: path.stat().st_mtime)
    assert found, f"Expected {cache() / pattern}, but it is missing: run {script}"
    return found[-1]
