"""Ways to fail."""

import os
import time
from pathlib import Path

from flytekit import task, workflow
from flytekit.exceptions.user import FlyteRecoverableException


@task
def raises(a: int) -> int:
    if a:
        raise ValueError(f"boom {a}")
    return a


@task(retries=2)
def recovers(marker: str) -> int:
    path = Path(marker)
    tries = int(path.read_text()) if path.exists() else 0
    path.write_text(str(tries + 1))
    if tries < 2:
        raise FlyteRecoverableException(f"try {tries}")
    return tries


@task(retries=1)
def never(a: int) -> int:
    if a:
        raise FlyteRecoverableException("never mind")
    return a


@task
def killed(a: int) -> int:
    if a:
        os._exit(137)
    return a


@task
def exits(a: int) -> int:
    if a:
        os._exit(3)
    return a


@task
def sleeps(seconds: float, marker: str) -> int:
    Path(marker).write_text(str(os.getpid()))
    time.sleep(seconds)
    return 1


@workflow
def wf_raises(a: int = 1) -> int:
    return raises(a=a)


@workflow
def wf_recovers(marker: str) -> int:
    return recovers(marker=marker)


@workflow
def wf_never(a: int = 1) -> int:
    return never(a=a)


@workflow
def wf_killed(a: int = 1) -> int:
    return killed(a=a)


@workflow
def wf_exits(a: int = 1) -> int:
    return exits(a=a)


@workflow
def wf_sleeps(seconds: float, marker: str) -> int:
    return sleeps(seconds=seconds, marker=marker)
