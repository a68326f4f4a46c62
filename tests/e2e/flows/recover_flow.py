"""Workflows that break until their folder is mended; each run of a task is noted."""

import functools
import time
from pathlib import Path

from flytekit import (
    LaunchPlan,
    WorkflowFailurePolicy,
    conditional,
    current_context,
    dynamic,
    map_task,
    task,
    workflow,
)


def note(folder: str, what: str) -> None:
    with (Path(folder) / "runs").open("a") as runs:
        runs.write(f"{what}\n")


@task
def works(folder: str, x: int) -> int:
    note(folder, f"works-{x}")
    return x + 1


@task
def breaks(folder: str, x: int) -> int:
    note(folder, f"breaks-{x}")
    if not (Path(folder) / "mended").exists():
        raise ValueError(f"broken {x}")
    return x + 10


@task
def breaks_if_odd(x: int, folder: str) -> int:
    note(folder, f"item-{x}")
    if x % 2 and not (Path(folder) / "mended").exists():
        raise ValueError(f"odd {x}")
    return x * x


@task
def text_of(folder: str, length: int) -> str:
    note(folder, "text")
    return "ä" * length


@task
def length_of(folder: str, text: str, x: int) -> int:
    note(folder, "length")
    return len(text) + x


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@workflow
def chain(folder: str, x: int) -> int:
    first = works(folder=folder, x=x)
    second = breaks(folder=folder, x=first)
    return works(folder=folder, x=second)


@workflow
def large(folder: str) -> int:
    text = text_of(folder=folder, length=100_000)
    x = breaks(folder=folder, x=1)
    text >> x
    return length_of(folder=folder, text=text, x=x)


@workflow
def inner(folder: str, x: int) -> int:
    first = works(folder=folder, x=x)
    return breaks(folder=folder, x=first)


@workflow
def sound(folder: str, x: int) -> int:
    return works(folder=folder, x=works(folder=folder, x=x))


@workflow
def nested(folder: str, x: int) -> int:
    whole = sound(folder=folder, x=x)
    return (
        conditional("which")
        .if_(whole > 0)
        .then(inner(folder=folder, x=whole))
        .else_()
        .fail("not positive")
    )


@workflow
def mapped(folder: str, xs: list[int]) -> int:
    squares = map_task(functools.partial(breaks_if_odd, folder=folder))(x=xs)
    return total(numbers=squares)


sound_plan = LaunchPlan.get_or_create(sound, name="recover_flow.sound_plan")
inner_plan = LaunchPlan.get_or_create(inner, name="recover_flow.inner_plan")


@workflow
def family(folder: str, x: int) -> int:
    whole = sound_plan(folder=folder, x=x)
    return inner_plan(folder=folder, x=whole)


@task
def slow(folder: str, x: int) -> int:
    note(folder, f"slow-{x}")
    if not (Path(folder) / "mended").exists():
        raise ValueError(f"broken {x}")
    until = time.monotonic() + 120
    while not (Path(folder) / "go").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return x + 1


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def late(folder: str, x: int) -> int:
    first = slow(folder=folder, x=x)
    second = works(folder=folder, x=x)
    return total(numbers=[first, second])


@workflow
def length_plus(folder: str, text: str) -> int:
    return length_of(folder=folder, text=text, x=1)


@task
def climbs(folder: str) -> int:
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    height = int(before) if before else 0
    checkpoint.write(str(height + 1).encode())
    if not (Path(folder) / "mended").exists():
        raise ValueError(f"fell at {height}")
    return height


@workflow
def climb(folder: str) -> int:
    return climbs(folder=folder)


@task(cache=True, cache_version="1")
def keeps(folder: str) -> int:
    note(folder, "kept")
    return 3


@workflow
def kept(folder: str) -> int:
    return keeps(folder=folder)


@dynamic
def spread(folder: str, x: int) -> int:
    note(folder, f"spread-{x}")
    first = works(folder=folder, x=x)
    whole = sound(folder=folder, x=first)
    return breaks(folder=folder, x=whole)


@dynamic
def deeper(folder: str, x: int) -> int:
    note(folder, "deeper")
    return spread(folder=folder, x=works(folder=folder, x=x))


@workflow
def dynamics(folder: str, x: int) -> int:
    return works(folder=folder, x=deeper(folder=folder, x=x))
