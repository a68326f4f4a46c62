"""What tasks wrote to stdout and stderr: found by attempt, read as text."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.ids import ExecutionRef

FILE_NAME = "log.txt"
_SAFE = re.compile(r"^(?!\.+$)[^/\\\x00]{1,300}$")


def attempt_log(
    root: Path, execution: ExecutionRef, node_id: str, attempt: int
) -> Path | None:
    """Return the log of an attempt's last run; None while there is none.

    Every run of an attempt writes below a prefix of its own (design: Dispatches).
    """
    folder = f"{execution.project}-{execution.domain}-{execution.name}"
    if not (_SAFE.match(folder) and _SAFE.match(node_id)):
        return None
    data = root / "metadata" / "propeller" / folder / node_id / "data" / str(attempt)
    found = [run / FILE_NAME for run in _folders(data)]
    there = [(path.stat().st_mtime_ns, path) for path in found if path.is_file()]
    return max(there)[1] if there else None


def _folders(path: Path) -> list[Path]:
    return [p for p in path.iterdir() if p.is_dir()] if path.is_dir() else []
