"""Maps over values of every shape, with limits, and elements that take long."""

import datetime as dt
import functools
import os
import tempfile
import time
import typing
from dataclasses import dataclass
from pathlib import Path

from flytekit import LaunchPlan, TaskMetadata, conditional, map_task, task, workflow
from flytekit.core.array_node import array_node
from flytekit.types.file import FlyteFile


@dataclass
class Point:
    x: int
    name: str


@task
def points(n: int) -> typing.List[Point]:
    return [Point(x=i, name=f"p{i}") for i in range(n)]


@task
def moved(point: Point, by: int) -> Point:
    return Point(x=point.x + by, name=point.name.upper())


@workflow
def over_dataclasses(n: int) -> typing.List[Point]:
    return map_task(functools.partial(moved, by=10))(point=points(n=n))


@task
def file_of(text: str) -> FlyteFile:
    path = Path(tempfile.mkdtemp()) / "written.txt"
    path.write_text(text)
    return FlyteFile(str(path))


@task
def text_of(file: FlyteFile) -> str:
    return Path(file.download()).read_text()


@workflow
def over_files(texts: typing.List[str]) -> typing.List[str]:
    return map_task(text_of)(file=map_task(file_of)(text=texts))


@task
def row(a: int) -> typing.List[int]:
    return list(range(a))


@task
def total(numbers: typing.List[int]) -> int:
    return sum(numbers)


@workflow
def nested(xs: typing.List[int]) -> typing.List[typing.List[int]]:
    return map_task(row)(a=xs)


@workflow
def nested_inputs(xs: typing.List[int]) -> typing.List[int]:
    return map_task(total)(numbers=map_task(row)(a=xs))


@task
def counted(a: int) -> typing.Dict[str, int]:
    return {"a": a, "double": 2 * a}


@workflow
def dicts(xs: typing.List[int]) -> typing.List[typing.Dict[str, int]]:
    return map_task(counted)(a=xs)


@task
def perhaps(a: int) -> typing.Optional[int]:
    return a if a % 2 else None


@workflow
def optionals(xs: typing.List[int]) -> typing.List[typing.Optional[int]]:
    return map_task(perhaps)(a=xs)


@task
def later(at: dt.datetime, by: dt.timedelta) -> dt.datetime:
    return at + by


@workflow
def times(ats: typing.List[dt.datetime], by: dt.timedelta) -> typing.List[dt.datetime]:
    return map_task(functools.partial(later, by=by))(at=ats)


@task
def joined(a: int, b: int) -> int:
    return 100 * a + b


@workflow
def bound_by_workflow(xs: typing.List[int], b: int) -> typing.List[int]:
    """Each element is given the workflow's own input beside its item."""
    return map_task(functools.partial(joined, b=b))(a=xs)


@workflow
def pairs(xs: typing.List[int], ys: typing.List[int]) -> typing.List[int]:
    return map_task(joined)(a=xs, b=ys)


@workflow
def inside(xs: typing.List[int]) -> typing.List[int]:
    return map_task(functools.partial(joined, b=1))(a=xs)


@workflow
def in_sub_workflow(xs: typing.List[int]) -> typing.List[int]:
    return map_task(functools.partial(joined, b=2))(a=inside(xs=xs))


@task
def size(xs: typing.List[int]) -> int:
    return len(xs)


@task
def none_at_all(xs: typing.List[int]) -> typing.List[int]:
    return xs[:0]


@workflow
def in_branch(xs: typing.List[int]) -> typing.List[int]:
    length = size(xs=xs)
    return (
        conditional("long")
        .if_(length > 2)
        .then(inside(xs=xs))
        .else_()
        .then(none_at_all(xs=xs))
    )


@task
def odd(a: int) -> int:
    if a % 2 == 0:
        raise ValueError(f"{a} is even")
    return a


@workflow
def odd_one(a: int) -> int:
    return odd(a=a)


odd_plan = LaunchPlan.get_or_create(workflow=odd_one, name="maps_flow.odd_plan")


@workflow
def some_children(xs: typing.List[int]) -> typing.List[typing.Optional[int]]:
    return array_node(odd_plan, min_success_ratio=0.5)(a=xs)


@workflow
def too_few_children(xs: typing.List[int]) -> typing.List[typing.Optional[int]]:
    return array_node(odd_plan, min_success_ratio=0.9)(a=xs)


@workflow
def two_successes(xs: typing.List[int]) -> typing.List[typing.Optional[int]]:
    # Flytekit sends the ratio alone where there is one, and there is by default.
    return map_task(odd, min_successes=2, min_success_ratio=None)(a=xs)


@task
def noted(a: int, folder: str, seconds: float) -> int:
    """Leave a file of the process while it runs, and the most that ran at once."""
    mine = Path(folder) / f"{a}.pid"
    mine.write_text(str(os.getpid()))
    running = len(list(Path(folder).glob("*.pid")))
    with (Path(folder) / "at_once").open("a") as file:
        file.write(f"{running}\n")
    time.sleep(seconds)
    mine.rename(Path(folder) / f"{a}.done")
    return a


@workflow
def one_at_a_time(
    xs: typing.List[int], folder: str, seconds: float
) -> typing.List[int]:
    each = functools.partial(noted, folder=folder, seconds=seconds)
    return map_task(each, concurrency=1)(a=xs)


@workflow
def all_at_once(xs: typing.List[int], folder: str, seconds: float) -> typing.List[int]:
    return map_task(functools.partial(noted, folder=folder, seconds=seconds))(a=xs)


@task
def sleeping(a: int, folder: str) -> int:
    with (Path(folder) / f"tries-{a}").open("a") as file:
        file.write("x")
    if a == 2:
        time.sleep(60)
    return a


@workflow
def limited(xs: typing.List[int], folder: str) -> typing.List[typing.Optional[int]]:
    return map_task(
        functools.partial(sleeping, folder=folder),
        metadata=TaskMetadata(retries=1, timeout=dt.timedelta(seconds=4)),
        min_success_ratio=0.6,
    )(a=xs)
