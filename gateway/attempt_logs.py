"""What tasks wrote to stdout and stderr: found by attempt, read as text."""

from __future__ import annotations

from pathlib import Path

from schemas.ids import ExecutionRef

FILE_NAME = "log.txt"
_INPUTS = "/inputs.pb"


def attempt_log(root: Path, input_path: str, attempt: int) -> Path | None:
    """Return the log of an attempt's last run; None while there is none.

    `input_path` is the node's, relative to the store's root. Every run of an attempt
    writes below a prefix of its own (design: Dispatches).
    """
    if not input_path.endswith(_INPUTS):
        return None
    folder = (root / input_path.removesuffix(_INPUTS) / str(attempt)).resolve()
    if not folder.is_relative_to(root):
        return None
    found = [path for path in folder.glob(f"*/{FILE_NAME}") if path.is_file()]
    there = [(path.stat().st_mtime_ns, path) for path in found]
    return max(there)[1] if there else None


def log_url(base_url: str, execution: ExecutionRef, node_id: str, attempt: int) -> str:
    """Return the link to an attempt's log."""
    return f"{base_url}/logs/{execution.text()}/{node_id}/{attempt}"
