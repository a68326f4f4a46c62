"""Tasks and workflows that take too long, pause, or want more memory."""

import os
import time
from datetime import timedelta
from pathlib import Path

from flytekit import Resources, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException


def tries(marker: str) -> int:
    path = Path(marker)
    before = int(path.read_text()) if path.exists() else 0
    path.write_text(str(before + 1))
    return before


@task(timeout=timedelta(seconds=1))
def slow(marker: str) -> int:
    Path(marker).write_text(str(os.getpid()))
    time.sleep(60)
    return 1


@task(timeout=timedelta(seconds=2), retries=1)
def slow_once(marker: str) -> int:
    before = tries(marker)
    if not before:
        time.sleep(60)
    return before


@task
def sleeps(marker: str) -> int:
    Path(marker).write_text(str(os.getpid()))
    time.sleep(60)
    return 1


@task
def cleans(marker: str) -> None:
    Path(marker + ".clean").write_text("clean")


@task(environment={"FLIGHTLOG_RETRY_BACKOFF": "2s"}, retries=1)
def pauses(marker: str) -> int:
    before = tries(marker)
    if not before:
        raise FlyteRecoverableException("again, please")
    return before


@task(
    environment={"FLIGHTLOG_OOM_MEMORY_FACTOR": "2"},
    requests=Resources(mem="100Mi"),
    interruptible=True,
)
def hungry(marker: str) -> int:
    before = tries(marker)
    if before < 2:
        os._exit(137)
    return before


@workflow
def wf_slow(marker: str) -> int:
    return slow(marker=marker)


@workflow
def wf_slow_once(marker: str) -> int:
    return slow_once(marker=marker)


@workflow(on_failure=cleans)
def wf_sleeps(marker: str) -> int:
    return sleeps(marker=marker)


@workflow
def wf_pauses(marker: str) -> int:
    return pauses(marker=marker)


@workflow
def wf_hungry(marker: str) -> int:
    return hungry(marker=marker)
