"""Workflows that clean up when they fail."""

from pathlib import Path
from typing import Optional

from flytekit import task, workflow
from flytekit.types.error import FlyteError


@task
def raises(a: int) -> int:
    if a:
        raise ValueError(f"boom {a}")
    return a


@task
def clean(a: int, note: str, err: Optional[FlyteError] = None) -> None:
    told = f"{err.failed_node_id} {err.message}" if err else "nothing"
    Path(note).write_text(f"{a} {told}")


@task
def clean_badly(a: int, note: str, err: Optional[FlyteError] = None) -> None:
    if err:
        raise RuntimeError(f"can't clean up after {err.failed_node_id}")


@workflow
def cleaning(a: int, note: str, err: Optional[FlyteError] = None) -> None:
    clean(a=a, note=note, err=err)


@workflow(on_failure=clean)
def wf_task(a: int, note: str) -> int:
    return raises(a=a)


@workflow(on_failure=clean_badly)
def wf_badly(a: int, note: str) -> int:
    return raises(a=a)


@workflow(on_failure=cleaning)
def wf_workflow(a: int, note: str) -> int:
    return raises(a=a)


@workflow(on_failure=clean)
def inner(a: int, note: str) -> int:
    first = raises(a=0)
    second = raises(a=a)
    first >> second
    return second


@task
def outer_clean(a: int, note: str, err: Optional[FlyteError] = None) -> None:
    Path(note + ".outer").write_text(err.failed_node_id if err else "nothing")


@workflow(on_failure=outer_clean)
def wf_nested(a: int, note: str) -> int:
    return inner(a=a, note=note)
