"""The log on Postgres, its writer killed in the middle: nothing lost, nothing half."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas import topics as t
from tests.contract.conftest import PostgresKind
from tests.contract.owning import kept
from tests.contract.records import STREAM

pytestmark = pytest.mark.integration

EVENTS = 6
ROOT = Path(__file__).parents[2]
KILLS = 3
ACKED_BEFORE_KILL = 40


def writer(url: str) -> subprocess.Popen[str]:
    """Start a process that commits without end and prints each position kept."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.contract.endless_writer", url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_a_killed_writer_leaves_whole_commits(postgres: PostgresKind) -> None:
    """After each kill: complete commits only, all acknowledged ones, and it goes on."""
    acked = 0
    for _ in range(KILLS):
        process = writer(postgres.url)
        assert process.stdout is not None
        for _ in range(ACKED_BEFORE_KILL):
            acked = int(await asyncio.to_thread(process.stdout.readline))
        process.send_signal(signal.SIGKILL)
        acked = max([acked, *map(int, process.stdout.read().split())])
        process.wait(10)
        process.stdout.close()
        log = await postgres.open(lock_timeout_s=5)
        sequences = [r.envelope.sequence for r in await log.stream(STREAM)]
        moved = await kept(log)
        await log.close()
        assert sequences == list(range(1, EVENTS * moved + 1))
        assert acked <= moved <= acked + 1


async def test_the_log_is_had_at_once_after_a_kill(postgres: PostgresKind) -> None:
    """The next engine waits for the killed one's session, and no longer."""
    process = writer(postgres.url)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    process.kill()
    began = asyncio.get_running_loop().time()
    log = await postgres.open(lock_timeout_s=10)
    took = asyncio.get_running_loop().time() - began
    await log.close()
    process.wait(10)
    process.stdout.close()
    assert took < 5, t.COMMANDS
