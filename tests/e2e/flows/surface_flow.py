"""What flytekit offers beyond graphs and types, as an author writes it."""

import asyncio
import typing
from dataclasses import dataclass

from flytekit import (
    ContainerTask,
    Deck,
    conditional,
    current_context,
    eager,
    kwtypes,
    map_task,
    task,
    workflow,
)
from flytekit.exceptions.user import FlyteRecoverableException


@task
def inc(a: int) -> int:
    return a + 1


@workflow
def given_back(a: int) -> int:
    return a


@workflow
def passing(a: int = 4, s: str = "näme") -> typing.Tuple[int, str, int]:
    return a, s, inc(a=given_back(a=a))


@task(retries=3)
def climbs(n: int) -> int:
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    begin = int(before) if before else 0
    checkpoint.write(str(begin + 1).encode())
    if begin + 1 < n:
        raise FlyteRecoverableException("higher")
    return begin + 1


@workflow
def checkpoints(n: int = 2) -> int:
    return climbs(n=n)


@task
async def double(a: int) -> int:
    return a * 2


@eager
async def impatient(a: int) -> int:
    return sum(await asyncio.gather(double(a=a), double(a=a + 1)))


@task(enable_deck=True)
def shows_then_fails(a: int) -> int:
    Deck("mine", "<p>hellö</p>")
    if a:
        raise ValueError("after the deck")
    return a


@workflow
def decks(a: int = 1) -> int:
    return shows_then_fails(a=a)


@dataclass
class Cargo:
    weight: int
    parts: typing.List[int]


@task
def load(n: int) -> Cargo:
    return Cargo(n, list(range(n)))


@task
def parts(n: int) -> typing.List[int]:
    return list(range(n))


@workflow
def offloads(n: int = 3) -> typing.Tuple[int, int, typing.List[int], int]:
    cargo = load(n=n)
    listed = parts(n=n)
    chosen = inc(a=n)
    return (
        inc(a=cargo.weight),
        inc(a=cargo.parts[2]),
        map_task(inc)(a=listed),
        conditional("heavy")
        .if_(chosen > 3)
        .then(inc(a=listed[1]))
        .else_()
        .then(inc(a=n)),
    )


COUNT = "expr {{.inputs.n}} + 1 > /var/outputs/count"
greet = ContainerTask(
    name="surface_flow.greet",
    image="busybox",
    inputs=kwtypes(name=str, n=int),
    outputs=kwtypes(greeting=str, count=int),
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    command=[
        "sh",
        "-c",
        "echo -n hello $(cat /var/inputs/name) > /var/outputs/greeting;" + COUNT,
    ],
)


@workflow
def containers(name: str = "wörld", n: int = 2) -> typing.Tuple[str, int]:
    greeting, count = greet(name=name, n=n)
    return greeting, inc(a=count)
