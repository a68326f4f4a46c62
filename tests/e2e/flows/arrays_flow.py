"""Arrays: maps with and without bound inputs, budgets, and over a launch plan."""

import functools
import typing

from flytekit import LaunchPlan, TaskMetadata, current_context, map_task, task, workflow
from flytekit.core.array_node import array_node
from flytekit.exceptions.user import FlyteRecoverableException


@task
def scaled(a: int, by: int) -> int:
    return a * by


@task
def added(a: int, xs: typing.List[int]) -> int:
    return a + sum(xs)


@task
def odd_ones(a: int) -> int:
    if a % 2 == 0:
        raise ValueError(f"{a} is even")
    return a


@task
def at_second_try(a: int) -> int:
    attempt = int(__import__("os").environ["FLYTE_ATTEMPT_NUMBER"])
    if a == 2 and attempt == 0:
        raise FlyteRecoverableException("not yet")
    return a + attempt


@task
def text_of(a: int) -> str:
    return "x" * a


@task
def lengths(texts: typing.List[str]) -> typing.List[int]:
    return [len(text) for text in texts]


@task
def upto(n: int) -> typing.List[int]:
    return list(range(n))


@task
def done(a: int) -> None:
    print(a, current_context().execution_id)


@workflow
def squares(xs: typing.List[int]) -> typing.List[int]:
    return map_task(scaled)(a=xs, by=xs)


@workflow
def tripled(xs: typing.List[int]) -> typing.List[int]:
    return map_task(functools.partial(scaled, by=3), concurrency=2)(a=xs)


@workflow
def plus_all(xs: typing.List[int]) -> typing.List[int]:
    return map_task(functools.partial(added, xs=[10, 20]))(a=xs)


@workflow
def half(xs: typing.List[int]) -> typing.List[typing.Optional[int]]:
    return map_task(odd_ones, min_success_ratio=0.5)(a=xs)


@workflow
def strict(xs: typing.List[int]) -> typing.List[int]:
    return map_task(odd_ones)(a=xs)


@workflow
def retried(xs: typing.List[int]) -> typing.List[int]:
    return map_task(at_second_try, metadata=TaskMetadata(retries=1))(a=xs)


@workflow
def large(n: int) -> typing.List[int]:
    """Outputs too large for an event: gathered as a blob, mapped over from there."""
    sizes = upto(n=n)
    texts = map_task(functools.partial(scaled, by=1))(a=sizes)
    return lengths(texts=map_task(text_of)(a=texts))


@workflow
def silent(xs: typing.List[int]) -> None:
    map_task(done)(a=xs)


@workflow
def child(a: int, b: int = 2) -> int:
    return scaled(a=a, by=b)


child_plan = LaunchPlan.get_or_create(workflow=child, name="arrays_flow.child_plan")


@workflow
def over_plan(xs: typing.List[int], bs: typing.List[int]) -> typing.List[int]:
    return array_node(child_plan, concurrency=2)(a=xs, b=bs)


@workflow
def mapped_plan(xs: typing.List[int], bs: typing.List[int]) -> typing.List[int]:
    return map_task(child_plan)(a=xs, b=bs)
