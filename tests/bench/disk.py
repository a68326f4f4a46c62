"""What small executions cost on disk: files, folders and bytes of their blobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench.engines import timed
from tests.bench.figure import Figure
from tests.support.harness.engine_process import Running

_BLOCK_BYTES = 512
"""The unit in which a file's blocks are counted, whatever their size."""


def disk_use(running: Running, client: Any, plan: str, count: int) -> list[Figure]:
    """Run some executions of one Python task; return what a thousand would cost."""
    timed(client, plan, "disk-warm")
    before = _found(running.data_dir)
    for number in range(count):
        timed(client, plan, f"disk-{number}")
    paths = [path for path in _found(running.data_dir) - before if path.exists()]
    folders = sum(path.is_dir() for path in paths)
    stored = sum(path.stat().st_blocks for path in paths) * _BLOCK_BYTES
    each, of = 1000 / count, "of 1,000 executions of one Python task"
    return [
        Figure(f"files {of}", (len(paths) - folders) * each, ""),
        Figure(f"folders {of}", folders * each, ""),
        Figure(f"blobs {of}, on disk", stored * each / 1e6, "MB"),
    ]


def _found(data: Path) -> set[Path]:
    return set((data / "blobs").rglob("*"))
