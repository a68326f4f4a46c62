"""Leaving a partition: the last round of snapshots never keeps anybody waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from infra.errors import FencedError, TransientError
from infra.eventlog.contract import Received, Record
from schemas.messages.execution_events import ExecutionCreated
from tests.support.engine import created
from tests.support.memory_log import MemoryLog
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.snapshots import Cadence, Snapshots
from workers.propeller.stream_kinds import STREAM_KINDS

STREAM = "execution/p/d/one"


class Partition:
    """A partition whose log takes snapshots as it is told to."""

    number = 0

    def __init__(self, answer: BaseException | None, pause_s: float = 0.0) -> None:
        """Answer each commit by an error, or after a pause."""
        self._answer = answer
        self._pause_s = pause_s
        self.commits = 0

    async def read(self, limit: int) -> Sequence[Received]:
        """Return no news."""
        del limit
        return ()

    async def holds(self, key: str) -> bool:
        """Hold every key."""
        return bool(key)

    async def end_position(self, topic: str) -> int:
        """Return an end."""
        del topic
        return 1

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Answer as told."""
        del records, position
        await asyncio.sleep(self._pause_s)
        if self._answer is not None:
            raise self._answer
        self.commits += 1


def _snapshots(count: int) -> Snapshots:
    snapshots = Snapshots(
        Cadence(interval_s=3600, commit_bytes=1, shutdown_timeout_s=0.2)
    )
    first: ExecutionCreated = created()
    for number in range(count):
        snapshots.mark_changed(f"{STREAM}{number}", EXECUTIONS.begin().after(first))
    return snapshots


@pytest.mark.parametrize(
    "partition",
    [
        Partition(FencedError("another owns it")),
        Partition(TransientError("the broker is away")),
        Partition(None, pause_s=60),
        Partition(None, pause_s=0.05),
    ],
    ids=["fenced", "away", "silent", "slow"],
)
async def test_it_ends_in_time(partition: Partition) -> None:
    """Whether the log refuses, is away, hangs or is slow: the partition is released."""
    snapshots, began = _snapshots(50), time.monotonic()
    await snapshots.write_all(partition, StreamCache(MemoryLog(), STREAM_KINDS, 9))  # type: ignore[arg-type]
    assert time.monotonic() - began < 2
    assert snapshots.changed


async def test_all_that_changed_is_written_when_there_is_time() -> None:
    """One round, each stream a commit of its own here, and the checkpoint."""
    partition, snapshots = Partition(None), _snapshots(3)
    await snapshots.write_all(partition, StreamCache(MemoryLog(), STREAM_KINDS, 9))  # type: ignore[arg-type]
    assert partition.commits == 4
    assert not snapshots.changed
