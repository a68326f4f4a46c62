"""Tasks of every type that flytekit has, written as its users write them."""
# ruff: noqa: D103, UP006, UP007, UP045

from __future__ import annotations

import enum
import typing
from dataclasses import dataclass, field

from flytekit import (
    dynamic,
    task,
)
from flytekit.types.file import FlyteFile
from pydantic import BaseModel


class Color(enum.Enum):
    """Two colours."""

    RED = "red"
    GREEN = "green"


@dataclass
class Inner:
    """Something inside."""

    numbers: typing.List[int] = field(default_factory=list)
    words: typing.Dict[str, str] = field(default_factory=dict)


@dataclass
class Outer:
    """Something around it."""

    x: int
    inner: Inner
    color: Color = Color.RED
    maybe: typing.Optional[int] = None
    many: typing.List[Inner] = field(default_factory=list)


class Model(BaseModel):
    """A pydantic model."""

    x: int
    name: str = ""
    inner: typing.Optional[Inner] = None


class Pair(typing.NamedTuple):
    """Two outputs."""

    total: int
    word: str


@task
def inc(a: int) -> int:
    return a + 1


@task
def add(a: int, b: int = 1) -> int:
    return a + b


@task
def say(a: str = "x", color: Color = Color.RED) -> str:
    return a


@task
def colour(a: str) -> Color:
    return Color(a)


@task
def total(values: typing.List[int]) -> int:
    return sum(values)


@task
def total_optional(values: typing.List[typing.Optional[int]]) -> int:
    return len(values)


@task
def lookup(values: typing.Dict[str, int]) -> int:
    return len(values)


@task
def make(a: int) -> Outer:
    return Outer(a, Inner())


@task
def make_model(a: int) -> Model:
    return Model(x=a)


@task
def use(o: Outer) -> int:
    return o.x


@task
def use_inner(i: Inner) -> int:
    return len(i.numbers)


@task
def use_model(m: Model) -> int:
    return m.x


@task
def numbers(n: int) -> typing.List[int]:
    return list(range(n))


@task
def table(n: int) -> typing.Dict[str, typing.List[int]]:
    return {"k": [n]}


@task
def pair(a: int) -> Pair:
    return Pair(a, "w")


@task
def optional(a: typing.Optional[int] = None) -> int:
    return a or 0


@task
def either(a: typing.Union[int, str]) -> typing.Union[int, str]:
    return a


@task
def either_list(a: typing.Union[typing.List[int], str]) -> int:
    return 1


@task
def positive(a: int) -> bool:
    return a > 0


@task
def nothing() -> None:
    return None


@task
def file() -> FlyteFile:
    return FlyteFile("x")


@task
def csv(f: FlyteFile[typing.TypeVar("csv")]) -> int:
    return 1


@dynamic
def spread(a: int) -> int:
    return inc(a=a)
