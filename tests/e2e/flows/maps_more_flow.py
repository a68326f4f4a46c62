"""Maps of other authors: overrides, defaults, other types, plans inside plans."""

import enum
import functools
import os
import tempfile
import typing
from pathlib import Path

import pandas as pd
from flytekit import LaunchPlan, Resources, map_task, task, workflow
from flytekit.core.array_node import array_node
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.directory import FlyteDirectory


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@task
def named(colour: Colour) -> str:
    return colour.value.upper()


@workflow
def enums(colours: typing.List[Colour]) -> typing.List[str]:
    return map_task(named)(colour=colours)


@task
def with_default(a: int, b: int = 5) -> int:
    return a * b


@workflow
def defaults(xs: typing.List[int]) -> typing.List[int]:
    return map_task(functools.partial(with_default, b=4))(a=xs)


@task
def base(n: int) -> int:
    return n + 1


@workflow
def bound_by_promise(xs: typing.List[int]) -> typing.List[int]:
    """The bound input comes from another node."""
    return map_task(functools.partial(with_default, b=base(n=2)))(a=xs)


@task
def frame(n: int) -> pd.DataFrame:
    return pd.DataFrame({"n": list(range(n))})


@task
def rows(frame: pd.DataFrame) -> int:
    return len(frame)


@workflow
def frames(xs: typing.List[int]) -> typing.List[int]:
    return map_task(rows)(frame=map_task(frame)(n=xs))


@task
def folder_of(n: int) -> FlyteDirectory:
    folder = Path(tempfile.mkdtemp()) / str(n)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        (folder / f"{number}.txt").write_text(str(number))
    return FlyteDirectory(str(folder.absolute()))


@task
def files_in(folder: FlyteDirectory) -> int:
    return len(list(Path(folder.download()).glob("*.txt")))


@workflow
def folders(xs: typing.List[int]) -> typing.List[int]:
    return map_task(files_in)(folder=map_task(folder_of)(n=xs))


@task
def maybe(a: typing.Optional[int]) -> str:
    return "none" if a is None else str(a)


@workflow
def optional_inputs(xs: typing.List[typing.Optional[int]]) -> typing.List[str]:
    return map_task(maybe)(a=xs)


@task
def either(a: typing.Union[int, str]) -> typing.Union[int, str]:
    return a * 2


@workflow
def unions(
    xs: typing.List[typing.Union[int, str]],
) -> typing.List[typing.Union[int, str]]:
    return map_task(either)(a=xs)


class Odd:
    def __init__(self, number: int) -> None:
        self.number = number


@task
def pickled(n: int) -> Odd:
    return Odd(n)


@task
def unpickled(odd: Odd) -> int:
    return odd.number


@workflow
def pickles(xs: typing.List[int]) -> typing.List[int]:
    return map_task(unpickled)(odd=map_task(pickled)(n=xs))


@task
def flaky(a: int) -> int:
    if int(os.environ["FLYTE_ATTEMPT_NUMBER"]) < 1:
        raise FlyteRecoverableException("not yet")
    return a


@workflow
def overridden(xs: typing.List[int]) -> typing.List[int]:
    return map_task(flaky)(a=xs).with_overrides(
        retries=2, requests=Resources(cpu="1"), name="mapped"
    )


@task
def killed_once(a: int) -> int:
    if int(os.environ["FLYTE_ATTEMPT_NUMBER"]) < 1 and a == 2:
        os._exit(137)
    return a


@workflow
def outlived(xs: typing.List[int]) -> typing.List[int]:
    return map_task(killed_once)(a=xs)


@workflow
def mapping_child(xs: typing.List[int], b: int = 3) -> typing.List[int]:
    return map_task(functools.partial(with_default, b=b))(a=xs)


mapping_plan = LaunchPlan.get_or_create(
    workflow=mapping_child, name="maps_more_flow.mapping_plan"
)
fixed_plan = LaunchPlan.get_or_create(
    workflow=mapping_child, name="maps_more_flow.fixed_plan", fixed_inputs={"b": 10}
)


@workflow
def maps_of_maps(xss: typing.List[typing.List[int]]) -> typing.List[typing.List[int]]:
    return array_node(mapping_plan)(xs=xss, b=[1, 2])


@workflow
def fixed(xss: typing.List[typing.List[int]]) -> typing.List[typing.List[int]]:
    return array_node(fixed_plan)(xs=xss)


@workflow
def no_plans(xss: typing.List[typing.List[int]]) -> typing.List[typing.List[int]]:
    return array_node(fixed_plan)(xs=xss)
