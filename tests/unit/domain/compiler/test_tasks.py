"""The checks of a task template."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flyteidl.core import tasks_pb2

from domain.compiler.compile import CompileErrors, compile_task
from domain.compiler.errors import Code
from tests.support.graphs import task_template


def _container() -> Any:
    task = task_template(kind="python-task")
    task.container.image = "example.org/image:v1"
    task.container.args.append("run")
    task.container.resources.requests.add(name=tasks_pb2.Resources.CPU, value="500m")
    return task


def _pod(*names: str) -> Any:
    task = task_template(kind="sidecar")
    task.k8s_pod.pod_spec["containers"] = [{"name": name} for name in names]
    return task


@pytest.mark.parametrize("task", [_container(), _pod("primary"), task_template()])
def test_accepts_well_formed_tasks(task: Any) -> None:
    """Containers, pods, and tasks without either compile as they are."""
    assert compile_task(task).template == task


def test_accepts_an_idle_container() -> None:
    """Without inputs and outputs there need be no command."""
    task = _container()
    task.container.ClearField("args")
    task.ClearField("interface")

    assert not isinstance(compile_task(task), CompileErrors)


@pytest.mark.parametrize("value", ["1", ".5", "1.5Gi", "100m", "2e3", "4Ki", "0"])
def test_accepts_quantities(value: str) -> None:
    """Quantities are written as Kubernetes does."""
    task = _container()
    task.container.resources.limits.add(name=tasks_pb2.Resources.MEMORY, value=value)

    assert not isinstance(compile_task(task), CompileErrors)


BROKEN: list[tuple[Code, Callable[[Any], object]]] = [
    (Code.VALUE_REQUIRED, lambda task: task.ClearField("id")),
    (Code.VALUE_REQUIRED, lambda task: task.container.ClearField("image")),
    (Code.VALUE_REQUIRED, lambda task: task.container.ClearField("args")),
    (
        Code.UNRECOGNIZED_VALUE,
        lambda task: task.container.resources.limits.add(value="1 Gi"),
    ),
    (
        Code.INVALID_VALUE,
        lambda task: task.container.env.add(
            key="FLIGHTLOG_RETRY_BACKOFF", value="soon"
        ),
    ),
    (Code.INVALID_VALUE, lambda task: task.k8s_pod.CopyFrom(_pod("Not_DNS").k8s_pod)),
    (
        Code.INVALID_VALUE,
        lambda task: task.k8s_pod.pod_spec.update({"containers": "primary"}),
    ),
]


@pytest.mark.parametrize(("code", "break_it"), BROKEN)
def test_refuses(code: Code, break_it: Callable[[Any], object]) -> None:
    """Each error has its code."""
    task = _container()
    break_it(task)
    result = compile_task(task)

    assert isinstance(result, CompileErrors)
    assert result.codes == (code,)
