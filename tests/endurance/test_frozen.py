"""Stopped processes, as a laptop that sleeps: the engine goes on, and nothing twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endurance.duration import chosen
from tests.endurance.engine import Watched, watched
from tests.endurance.processes import postmaster, send, tree, wait_for_postgres

pytestmark = pytest.mark.e2e
ALL_S, POSTGRES_S = chosen(4, 60), chosen(6, 45)
KILLS, EACH_S = round(chosen(2, 15)), chosen(5, 20)


@pytest.fixture
def engine() -> Iterator[Watched]:
    """An engine under load, watched."""
    with watched() as found:
        yield found


def test_all_of_it_sleeps_for_a_while(engine: Watched) -> None:
    """Engine, Postgres and tasks wake up and go on, and nothing was away."""
    time.sleep(3)
    pids = tree([engine.pid, postmaster(engine.data_dir)])
    send(pids, signal.SIGSTOP)
    time.sleep(ALL_S)
    send(reversed(pids), signal.SIGCONT)
    woken_s = time.monotonic()
    time.sleep(4)
    engine.health.expect_ready(woken_s, time.monotonic())
    engine.check(lines_max=4)


def test_postgres_sleeps_for_a_while(engine: Watched) -> None:
    """Health says so within two seconds, and within two that it is back."""
    time.sleep(3)
    pids = tree([postmaster(engine.data_dir)])
    stopped_s = time.monotonic()
    send(pids, signal.SIGSTOP)
    time.sleep(POSTGRES_S)
    woken_s = time.monotonic()
    send(reversed(pids), signal.SIGCONT)
    engine.health.expect_away(stopped_s, woken_s, "Postgres")
    time.sleep(4)
    engine.health.expect_ready(woken_s, time.monotonic())
    engine.check(lines_max=4)


def test_postgres_is_killed_again_and_again(engine: Watched) -> None:
    """Each time it is back by itself, and the engine with it."""
    url = engine.running.postgres()
    for _ in range(KILLS):
        time.sleep(EACH_S)
        send([postmaster(engine.data_dir)], signal.SIGKILL)
        time.sleep(0.1)
        back_s = wait_for_postgres(url)
        time.sleep(3)
        engine.health.expect_ready(back_s, time.monotonic())
    engine.check(lines_max=2 * KILLS + 4)


def test_a_session_of_postgres_is_killed(engine: Watched) -> None:
    """Postgres ends all sessions then, and starts over by itself."""
    url = engine.running.postgres()
    time.sleep(3)
    pids = tree([postmaster(engine.data_dir)])
    send([pid for pid in pids[1:] if _is_session(pid)][:1], signal.SIGKILL)
    time.sleep(0.1)
    back_s = wait_for_postgres(url)
    time.sleep(4)
    engine.health.expect_ready(back_s, time.monotonic())
    engine.check(lines_max=4)


def _is_session(pid: int) -> bool:
    title = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"postgres postgres" in title
