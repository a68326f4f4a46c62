"""Gates: sleep, wait for a value, wait for a yes."""

import typing
from datetime import timedelta

from flytekit import (
    ConcurrencyLimitBehavior,
    ConcurrencyPolicy,
    LaunchPlan,
    approve,
    sleep,
    task,
    wait_for_input,
    workflow,
)


@task
def double(a: int) -> int:
    return 2 * a


@task
def add(a: int, b: int) -> int:
    return a + b


@workflow
def wf_sleeps(a: int = 1) -> int:
    nap = sleep(timedelta(seconds=2))
    done = double(a=a)
    nap >> done
    return done


@workflow
def wf_asks(a: int = 1) -> typing.Tuple[int, str]:
    more = wait_for_input("more", timeout=timedelta(seconds=100), expected_type=int)
    word = wait_for_input("word", timeout=timedelta(seconds=100), expected_type=str)
    return add(a=double(a=a), b=more), word


@workflow
def wf_approves(a: int = 1) -> int:
    checked = approve(double(a=a), "fine", timeout=timedelta(seconds=100))
    return add(a=checked, b=1)


@workflow
def wf_too_late() -> int:
    return wait_for_input("never", timeout=timedelta(seconds=1), expected_type=int)


one_at_a_time = LaunchPlan.get_or_create(
    wf_approves,
    "gates_flow.one_at_a_time",
    concurrency=ConcurrencyPolicy(
        max_concurrency=1, behavior=ConcurrencyLimitBehavior.SKIP
    ),
)
