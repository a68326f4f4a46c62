"""Failures that others see: siblings, dependants, parents and children."""

import os
import time
from pathlib import Path
from typing import Tuple

from flytekit import LaunchPlan, WorkflowFailurePolicy, conditional, task, workflow


@task
def bad(a: int) -> int:
    if a:
        raise ValueError(f"bad {a}")
    return a


@task
def ok(a: int) -> int:
    time.sleep(0.5)
    return a


@task
def sleeps(marker: str) -> int:
    Path(marker).write_text(str(os.getpid()))
    time.sleep(60)
    return 1


@task
def bad_after(marker: str) -> int:
    until = time.monotonic() + 30
    while not Path(marker).exists() and time.monotonic() < until:
        time.sleep(0.05)
    if marker:
        raise ValueError("bad after all")
    return 1


@task(retries=2)
def hopeless(a: int) -> int:
    if a:
        raise RuntimeError(f"broken {a}")
    return a


@workflow
def inner(a: int) -> int:
    return ok(a=a)


@workflow
def child_bad(a: int) -> int:
    return bad(a=a)


@workflow
def child_sleeps(marker: str) -> int:
    return sleeps(marker=marker)


child_bad_lp = LaunchPlan.get_or_create(child_bad)
child_sleeps_lp = LaunchPlan.get_or_create(child_sleeps)
inner_lp = LaunchPlan.get_or_create(inner)


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def wf_late(a: int) -> Tuple[int, int, int, int, int]:
    failed = bad(a=a)
    skipped = ok(a=failed)
    first = ok(a=a)
    second = ok(a=first)
    sub = inner(a=failed)
    child = inner_lp(a=failed)
    branch = (
        conditional("which").if_(failed > 1).then(ok(a=a)).else_().then(ok(a=failed))
    )
    return skipped, second, sub, child, branch


@workflow
def wf_at_once(a: int, marker: str) -> Tuple[int, int]:
    return sleeps(marker=marker), bad_after(marker=marker)


@workflow
def wf_child_bad(a: int) -> int:
    return child_bad_lp(a=a)


@workflow
def wf_child_sleeps(marker: str) -> int:
    return child_sleeps_lp(marker=marker)


@workflow
def wf_sibling_of_child(marker: str) -> Tuple[int, int]:
    return child_sleeps_lp(marker=marker), bad_after(marker=marker)


@workflow
def wf_hopeless(a: int) -> int:
    return hopeless(a=a)
