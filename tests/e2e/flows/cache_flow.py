"""Cached tasks: each run leaves a line in a file, so that runs can be counted."""

import functools
import os
import time
import typing
from pathlib import Path

import pandas as pd
from flytekit import HashMethod, map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from typing_extensions import Annotated


def _note(folder: str, line: str) -> None:
    with (Path(folder) / "runs").open("a") as file:
        file.write(f"{line} {os.getpid()}\n")


@task(cache=True, cache_version="1.0")
def double(folder: str, a: int) -> int:
    _note(folder, f"double {a}")
    return 2 * a


@workflow
def once(folder: str, a: int) -> int:
    return double(folder=folder, a=a)


@workflow
def twice(folder: str, a: int) -> typing.Tuple[int, int]:
    first = double(folder=folder, a=a)
    second = double(folder=folder, a=a)
    first >> second
    return first, second


@task(cache=True, cache_version="1.0", cache_ignore_input_vars=("note",))
def noted(folder: str, a: int, note: str) -> int:
    _note(folder, f"noted {a} {note}")
    return a


@workflow
def ignoring(folder: str, a: int, note: str) -> int:
    return noted(folder=folder, a=a, note=note)


def _first_row(frame: pd.DataFrame) -> str:
    return str(frame.iloc[0, 0])


@task
def frame(a: int) -> Annotated[pd.DataFrame, HashMethod(_first_row)]:
    return pd.DataFrame({"a": [a, time.time_ns()]})


@task(cache=True, cache_version="1.0")
def head(folder: str, frame: pd.DataFrame) -> int:
    _note(folder, "head")
    return int(frame.iloc[0, 0])


@workflow
def hashed(folder: str, a: int) -> int:
    return head(folder=folder, frame=frame(a=a))


@task
def long_list(length: int) -> typing.List[int]:
    return list(range(length))


@task(cache=True, cache_version="1.0")
def size(folder: str, xs: typing.List[int]) -> typing.List[int]:
    _note(folder, "size")
    return xs


@workflow
def large(folder: str, length: int) -> typing.List[int]:
    return size(folder=folder, xs=long_list(length=length))


@task(cache=True, cache_version="1.0")
def silent(folder: str) -> None:
    _note(folder, "silent")


@workflow
def nothing(folder: str) -> None:
    silent(folder=folder)


@task(cache=True, cache_version="1.0", cache_serialize=True, retries=2)
def slow(folder: str, a: int, fails: int) -> int:
    _note(folder, f"slow {a}")
    time.sleep(1.5)
    runs = len((Path(folder) / "runs").read_text().splitlines())
    if runs <= fails:
        raise FlyteRecoverableException("not yet")
    return a


@workflow
def serial(folder: str, a: int, fails: int = 0) -> int:
    return slow(folder=folder, a=a, fails=fails)


@task(cache=True, cache_version="1.0")
def failing(folder: str, a: int) -> int:
    _note(folder, "failing")
    if a:
        raise ValueError("never kept")
    return a


@workflow
def unkept(folder: str, a: int) -> int:
    return failing(folder=folder, a=a)


@workflow
def serial_map(folder: str, xs: typing.List[int]) -> typing.List[int]:
    return map_task(functools.partial(slow, folder=folder, fails=1))(a=xs)


@workflow
def mapped(folder: str, xs: typing.List[int]) -> typing.List[int]:
    return map_task(functools.partial(double, folder=folder))(a=xs)
