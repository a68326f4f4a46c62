"""Dynamic workflows of every shape, for the real flytekit."""

import os
import time
import typing
from datetime import timedelta

from flytekit import LaunchPlan, conditional, dynamic, map_task, task, workflow


@task
def square(x: int) -> int:
    """Return the square."""
    return x * x


@task
def total(xs: list[int]) -> int:
    """Return the sum."""
    return sum(xs)


@task
def add(a: int, b: int) -> int:
    """Return the sum of two."""
    return a + b


@task
def fail(x: int) -> int:
    """Fail."""
    if x >= 0:
        raise ValueError(f"no {x}")
    return x


@workflow
def twice_squared(x: int) -> int:
    """Square twice, as a sub-workflow."""
    return square(x=square(x=x))


plan = LaunchPlan.get_or_create(twice_squared, name="dynamic_flow.plan")


@dynamic
def loop(n: int) -> list[int]:
    """One task for each number."""
    return [square(x=i) for i in range(n)]


@workflow
def looped(n: int) -> int:
    """Sum what a dynamic made."""
    return total(xs=loop(n=n))


@dynamic
def fibonacci(n: int) -> int:
    """Recur: a dynamic in a dynamic in a dynamic."""
    if n < 2:
        return n
    return add(a=fibonacci(n=n - 1), b=fibonacci(n=n - 2))


@workflow
def fib(n: int) -> int:
    """Return a Fibonacci number."""
    return fibonacci(n=n)


@dynamic
def mixed(n: int) -> int:
    """A sub-workflow, a launch plan, a map and a branch inside."""
    sub = twice_squared(x=n)
    child = plan(x=n)
    mapped = total(xs=map_task(square)(x=list(range(n))))
    chosen = (
        conditional("odd")
        .if_(sub == child)
        .then(add(a=mapped, b=sub))
        .else_()
        .fail("no")
    )
    return add(a=chosen, b=child)


@workflow
def all_kinds(n: int) -> int:
    """Run a mixed dynamic."""
    return mixed(n=n)


@dynamic
def nothing(n: int) -> list[int]:
    """Run no task at all."""
    return [n, n]


@workflow
def no_task(n: int) -> list[int]:
    """Return what a dynamic made without tasks."""
    return nothing(n=n)


@dynamic
def broken(n: int) -> int:
    """Fail inside."""
    return add(a=square(x=n), b=fail(x=n))


@workflow
def fails_inside(n: int) -> int:
    """Fail by a node inside a dynamic."""
    return broken(n=n)


@dynamic(retries=2)
def late(n: int) -> int:
    """Fail at first, then make a task."""
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "0":
        from flytekit.exceptions.user import FlyteRecoverableException

        raise FlyteRecoverableException("not yet")
    return square(x=n)


@workflow
def retried(n: int) -> int:
    """Succeed at the second attempt."""
    return late(n=n)


@task
def slow(x: int, seconds: float) -> int:
    """Take a while."""
    import time

    time.sleep(seconds)
    return x


@dynamic
def sleepers(n: int, seconds: float) -> list[int]:
    """Many tasks that take a while."""
    return [slow(x=i, seconds=seconds) for i in range(n)]


@workflow
def sleeping(n: int, seconds: float) -> int:
    """Sum what sleepers yield."""
    return total(xs=sleepers(n=n, seconds=seconds))


@dynamic
def everything(n: int) -> typing.Tuple[typing.List[int], str, typing.Dict[str, int]]:
    """Several outputs: of a dynamic, of no task, in a dict."""
    return loop(n=n), f"n is {n}", {"a": square(x=n), "b": n}


@workflow
def several(n: int) -> typing.Tuple[typing.List[int], str, typing.Dict[str, int]]:
    """Return what a dynamic bound in every way."""
    return everything(n=n)


@dynamic
def silent(n: int) -> None:
    """Make tasks and yield nothing."""
    for i in range(n):
        square(x=i)


@workflow
def quiet(n: int) -> None:
    """Run tasks for nothing."""
    silent(n=n)


@dynamic(cache=True, cache_version="1")
def kept(n: int) -> typing.List[int]:
    """Be made once."""
    return [square(x=i) for i in range(n)]


@workflow
def cached(n: int) -> int:
    """Sum what is kept."""
    return total(xs=kept(n=n))


@task(timeout=timedelta(seconds=1))
def hurried(x: int, seconds: float) -> int:
    """Take too long, or not."""
    time.sleep(seconds)
    return x


@dynamic(retries=1)
def second_time(n: int) -> int:
    """Make a task that takes too long at the first attempt."""
    first = os.environ["FLYTE_ATTEMPT_NUMBER"] == "0"
    return hurried(x=n, seconds=30.0 if first else 0.0).with_overrides(retries=5)


@workflow
def tried_again(n: int) -> int:
    """Succeed with the second inside."""
    return second_time(n=n)


@dynamic(timeout=timedelta(seconds=3), retries=1)
def limited(n: int) -> int:
    """Make a task that outlives the attempt, the first time."""
    first = os.environ["FLYTE_ATTEMPT_NUMBER"] == "0"
    return slow(x=n, seconds=60.0 if first else 0.0)


@workflow
def within_limit(n: int) -> int:
    """Succeed with the second attempt."""
    return limited(n=n)


@dynamic
def refers_to_unknown(n: int) -> int:
    """Call a launch plan that isn't registered."""
    return LaunchPlan.get_or_create(twice_squared, name="dynamic_flow.unknown")(x=n)


@workflow
def not_built(n: int) -> int:
    """Fail, as what was made can't be compiled."""
    return refers_to_unknown(n=n)
