"""Shapes of graphs: chain, fan-out, branches, sub-workflows, launch plans."""

import typing

from flytekit import LaunchPlan, conditional, task, workflow


@task
def add(a: int, b: int) -> int:
    print("adding", a, b)
    return a + b


@task
def total(xs: typing.List[int]) -> int:
    return sum(xs)


@workflow
def inner(a: int) -> int:
    return add(a=add(a=a, b=1), b=1)


@workflow
def outer(a: int) -> int:
    return add(a=inner(a=a), b=10)


plan = LaunchPlan.get_or_create(
    workflow=inner, name="shapes_flow.plan", default_inputs={"a": 7}
)


@workflow
def shapes(a: int = 1) -> typing.Tuple[int, int, int, int]:
    x = add(a=a, b=1)
    fan = total(xs=[add(a=x, b=1), add(a=x, b=2), add(a=x, b=3)])
    nested = outer(a=x)
    child = plan(a=x)
    chosen = (
        conditional("size")
        .if_(fan > 100)
        .then(add(a=fan, b=1000))
        .elif_((fan > 10) & (fan < 50))
        .then(inner(a=fan))
        .else_()
        .fail("too small")
    )
    return fan, nested, child, chosen


@workflow
def two_level(a: int) -> int:
    small = (
        conditional("inner").if_(a > 0).then(add(a=a, b=1)).else_().then(add(a=a, b=-1))
    )
    return (
        conditional("outer")
        .if_(a == 5)
        .then(add(a=small, b=100))
        .else_()
        .then(add(a=small, b=0))
    )


@workflow
def perhaps(a: typing.Optional[int], b: int) -> int:
    return (
        conditional("given")
        .if_(a.is_none())
        .then(add(a=b, b=0))
        .elif_(a == 3)
        .then(add(a=b, b=3))
        .else_()
        .then(add(a=b, b=100))
    )
