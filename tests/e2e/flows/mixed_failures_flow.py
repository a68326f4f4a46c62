"""Failures of one kind of node within another."""

import functools
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import List, Optional

from flytekit import LaunchPlan, dynamic, map_task, task, workflow
from flytekit.core.array_node import array_node
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.error import FlyteError


def tries(marker: str) -> int:
    path = Path(marker)
    before = int(path.read_text()) if path.exists() else 0
    path.write_text(str(before + 1))
    return before


@task
def bad(a: int) -> int:
    if a:
        raise ValueError(f"bad {a}")
    return a


@task
def ok(a: int) -> int:
    return a


@task
def cleans(a: int, note: str, err: Optional[FlyteError] = None) -> None:
    Path(note).write_text(err.failed_node_id if err else "nothing")


@dynamic
def makes_bad(a: int) -> int:
    return bad(a=a)


@workflow(on_failure=cleans)
def wf_dynamic(a: int, note: str) -> int:
    return makes_bad(a=a)


@workflow(on_failure=cleans)
def cleaning(a: int, note: str) -> int:
    return bad(a=a)


@dynamic
def makes_cleaning(a: int, note: str) -> int:
    return cleaning(a=a, note=note)


@workflow
def wf_inside(a: int, note: str) -> int:
    return makes_cleaning(a=a, note=note)


@dynamic
def cleans_by_dynamic(a: int, note: str, err: Optional[FlyteError] = None) -> None:
    cleans(a=a, note=note, err=err)


@workflow(on_failure=cleans_by_dynamic)
def wf_cleaned_by_dynamic(a: int, note: str) -> int:
    return bad(a=a)


@workflow
def child(a: int) -> int:
    return bad(a=a)


child_lp = LaunchPlan.get_or_create(child)


@dynamic
def maps_children(a: int) -> List[int]:
    return array_node(child_lp)(a=[0, a])


@workflow
def wf_deep(a: int, note: str) -> List[int]:
    return maps_children(a=a)


@task(retries=2)
def flaky(a: int, note: str) -> int:
    time.sleep(0.2)
    if tries(f"{note}.{a}") == 0:
        raise FlyteRecoverableException(f"flaky {a}")
    return a


@dynamic(retries=2)
def flaky_parent(a: int, note: str) -> List[int]:
    time.sleep(0.2)
    if tries(note) == 0:
        raise FlyteRecoverableException("flaky parent")
    return map_task(functools.partial(flaky, note=note), concurrency=2)(a=[1, 2, 3])


@workflow
def wf_flaky(a: int, note: str) -> List[int]:
    return flaky_parent(a=a, note=note)


@task(retries=1, interruptible=True)
def killed(a: int, note: str) -> int:
    if tries(note) < a:
        os.kill(os.getpid(), signal.SIGKILL)
    return a


@workflow
def wf_killed(a: int, note: str) -> int:
    return killed(a=a, note=note)


@task
def no_number(a: int, note: str) -> int:
    return note if a else a  # type: ignore[return-value]


@workflow
def wf_no_number(a: int, note: str) -> int:
    return no_number(a=a, note=note)


@task(timeout=timedelta(seconds=2))
def brief(a: int) -> int:
    time.sleep(0.8)
    return a


@workflow
def wf_brief(a: int, note: str) -> List[int]:
    return map_task(brief)(a=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
