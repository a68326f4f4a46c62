"""Workflows that use everything flytekit has, written as its users write them."""
# ruff: noqa: D103, E501, ICN001, UP006, UP007, UP045

from __future__ import annotations

import datetime
import functools
import typing

from flytekit import (
    FixedRate,
    LaunchPlan,
    WorkflowFailurePolicy,
    approve,
    conditional,
    map_task,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flytekit.core.array_node import array_node
from flytekit.core.node_creation import create_node
from flytekit.types.error.error import FlyteError

from tests.support.flytekit.typed_tasks import (
    Color,
    Pair,
    add,
    colour,
    csv,
    either,
    either_list,
    file,
    inc,
    lookup,
    make,
    make_model,
    nothing,
    numbers,
    optional,
    pair,
    positive,
    say,
    spread,
    table,
    total,
    total_optional,
    use,
    use_inner,
    use_model,
)


@workflow
def one(a: int) -> int:
    return inc(a=a)


@workflow
def chain(a: int) -> int:
    value = a
    for _ in range(5):
        value = inc(a=value)
    return value


@workflow
def fan(a: int) -> int:
    return total(values=[inc(a=a), inc(a=2), inc(a=a), 4])


@workflow
def choose(a: int, s: str) -> int:
    b = inc(a=a)
    return (
        conditional("outer")
        .if_((b == 1) | ((b > 5) & (s == "x")))
        .then(inc(a=b))
        .elif_(b < 0)
        .then(one(a=b))
        .else_()
        .then(
            conditional("inner")
            .if_(a >= 3)
            .then(add(a=b, b=a))
            .else_()
            .fail("too small")
        )
    )


@workflow
def choose_by_flag(a: int) -> int:
    flag = positive(a=a)
    return (
        conditional("flag").if_(flag.is_true()).then(inc(a=a)).else_().then(spread(a=a))
    )


@workflow
def choose_by_field(a: int) -> int:
    o = make(a=a)
    return conditional("field").if_(o.x > 1).then(use(o=o)).else_().then(inc(a=o.x))


@workflow
def nested_subs(a: int) -> int:
    return inc(a=chain(a=one(a=a)))


plan = LaunchPlan.get_or_create(chain, "plan", default_inputs={"a": 3})
fixed = LaunchPlan.get_or_create(one, "fixed", fixed_inputs={"a": 3})
timed = LaunchPlan.get_or_create(
    one,
    "timed",
    default_inputs={"a": 3},
    schedule=FixedRate(datetime.timedelta(hours=1)),
)


@workflow
def plans(a: int) -> int:
    first = plan(a=a)
    second = fixed()
    timed()
    return add(a=first, b=second)


@workflow
def attributes(a: int) -> int:
    o, m = make(a=a), make_model(a=a)
    inc(a=o.inner.numbers[0])
    say(a=o.inner.words["k"], color=o.color)
    optional(a=o.maybe)
    use_inner(i=o.inner)
    use_inner(i=o.many[1])
    use_model(m=m)
    say(a=m.name)
    say(a=o.color)
    return add(a=o.x, b=m.x)


@workflow
def items(a: int) -> int:
    n, t = numbers(n=a), table(n=a)
    total(values=t["k"])
    lookup(values={"x": n[0], "y": 3, "z": inc(a=a)})
    return add(a=n[0], b=t["k"][0])


@workflow
def unions(a: int) -> typing.Union[int, str]:
    optional()
    optional(a=a)
    optional(a=3)
    optional(a=None)
    either(a="x")
    either_list(a=[a, 1])
    either_list(a="x")
    total_optional(values=[1, None, a])
    return either(a=a)


@workflow
def enums(s: str) -> str:
    c = colour(a=s)
    say(a=c, color=s)
    return say(a=s, color=Color.GREEN)


@workflow
def enum_input(c: Color = Color.RED) -> Color:
    say(color=c)
    return c


@workflow
def pairs(a: int) -> Pair:
    p = pair(a=a)
    inc(a=p.total)
    return Pair(p.total, p.word)


@workflow
def maps(a: int) -> typing.List[int]:
    lifted = map_task(inc)(a=numbers(n=a))
    map_task(functools.partial(add, b=a))(a=[1, 2])
    map_task(inc, min_success_ratio=0.5)(a=[1, 2])
    return map_task(inc, concurrency=2)(a=lifted)


@workflow
def maps_optional(a: int) -> typing.List[typing.Optional[int]]:
    return map_task(inc, min_success_ratio=0.5)(a=[1, a])


@workflow
def array_of_plans(a: int) -> typing.List[int]:
    return array_node(plan, concurrency=2)(a=[1, a])


@workflow
def gates(a: int) -> int:
    b = inc(a=a)
    seen = approve(b, "seen", timeout=datetime.timedelta(hours=1))
    signal = wait_for_input(
        "signal", timeout=datetime.timedelta(hours=1), expected_type=int
    )
    nap = sleep(datetime.timedelta(seconds=1))
    nap >> seen
    return add(a=approve(seen, "again", timeout=datetime.timedelta(hours=1)), b=signal)


@task
def clean(a: int, err: typing.Optional[FlyteError] = None) -> None:
    return None


@workflow
def clean_all(a: int, err: typing.Optional[FlyteError] = None) -> None:
    clean(a=a, err=err)


@workflow(on_failure=clean, failure_policy=WorkflowFailurePolicy.FAIL_IMMEDIATELY)
def failing(a: int) -> int:
    return inc(a=a)


@workflow(on_failure=clean_all)
def failing_to_workflow(a: int) -> int:
    return inc(a=a)


@workflow
def ordered() -> None:
    first, second, third = (
        create_node(nothing),
        create_node(nothing),
        create_node(nothing),
    )
    first >> second >> third


@workflow
def files() -> int:
    return csv(f=file())


@workflow
def passes(a: int) -> int:
    nothing()
    return a


@workflow
def alone() -> None:
    nothing()


@workflow
def dynamics(a: int) -> int:
    return spread(a=spread(a=a))


@workflow
def branch_of_subs(a: int) -> int:
    b = conditional("subs").if_(a == 1).then(choose(a=a, s="x")).else_().then(plan(a=a))
    return inc(a=b)


@workflow
def branch_without_outputs(a: int) -> None:
    conditional("none").if_(a == 1).then(nothing()).else_().fail("no")


@workflow
def overridden(a: int) -> int:
    return inc(a=a).with_overrides(
        retries=3, node_name="my-node", cache=True, cache_version="1"
    )


ALL = [
    alone, array_of_plans, attributes, branch_of_subs, branch_without_outputs, chain,
    choose, choose_by_field, choose_by_flag, dynamics, enum_input, enums, failing,
    failing_to_workflow, fan, files, gates, items, maps, maps_optional, nested_subs, one,
    ordered, overridden, pairs, passes, plans, unions,
]  # fmt: skip
