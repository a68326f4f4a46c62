"""Overrides: what a node changes of its task's template (ref §6.3)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import tasks_pb2

from domain.overrides import template_bytes
from tests.support.graphs import definition, task_node, task_template

Resources = tasks_pb2.Resources
CPU, MEMORY, GPU = Resources.CPU, Resources.MEMORY, Resources.GPU


def _entries(**amounts: str) -> list[Any]:
    return [
        Resources.ResourceEntry(name=Resources.ResourceName.Value(name), value=value)
        for name, value in amounts.items()
    ]


def _container(**resources: Any) -> Any:
    task = task_template(kind="python-task")
    task.container.image = "image:v1"
    task.container.args.append("run")
    task.container.resources.CopyFrom(Resources(**resources))
    return task


def _template(task: Any, node: Any, memory_factor: float = 1.0) -> Any:
    """Return the template that a dispatch of a node carries."""
    graph = definition([node], node.id, tasks=[task])
    data = template_bytes(graph, graph.primary.nodes[node.id], memory_factor)
    assert graph.tasks[graph.primary.nodes[node.id].target] == task
    return tasks_pb2.TaskTemplate.FromString(data)


def test_a_node_without_overrides_runs_the_task_as_it_is() -> None:
    """Nothing of the template changes."""
    task = _container(requests=_entries(CPU="1"))

    assert _template(task, task_node("n0")) == task


def test_a_node_may_run_another_image() -> None:
    """The image is replaced, the command stays."""
    node = task_node("n0")
    node.task_node.overrides.container_image = "image:v2"
    found = _template(_container(), node)

    assert found.container.image == "image:v2"
    assert list(found.container.args) == ["run"]


def test_resources_of_a_node_replace_the_list_of_the_task() -> None:
    """Requests and limits are lists of their own: one that isn't given stays."""
    task = _container(
        requests=_entries(CPU="1", MEMORY="1Gi"), limits=_entries(CPU="2")
    )
    node = task_node("n0")
    node.task_node.overrides.resources.requests.extend(_entries(GPU="1"))
    found = _template(task, node).container.resources
    assert found == Resources(requests=_entries(GPU="1"), limits=_entries(CPU="2"))

    node.task_node.overrides.resources.CopyFrom(Resources(limits=_entries(CPU="4")))
    found = _template(task, node).container.resources
    assert found.requests == task.container.resources.requests
    assert found.limits == _entries(CPU="4")


def test_a_node_may_ask_for_a_kind_of_accelerator() -> None:
    """Extended resources are the node's, for tasks without a container as well."""
    node = task_node("n0")
    accelerator = node.task_node.overrides.extended_resources.gpu_accelerator
    accelerator.device = "nvidia-tesla-t4"

    for task in (_container(), task_template()):
        found = _template(task, node).extended_resources
        assert found.gpu_accelerator.device == "nvidia-tesla-t4"


def test_overrides_of_a_container_do_not_make_one() -> None:
    """A task that runs in the engine has no image, and gets none."""
    node = task_node("n0")
    node.task_node.overrides.container_image = "image:v2"

    assert _template(task_template(), node) == task_template()


@pytest.mark.parametrize("factor", [1.5, 2.0])
def test_an_attempt_after_a_lack_of_memory_asks_for_more(factor: float) -> None:
    """Requests and limits grow by the factor, the other resources stay."""
    task = _container(
        requests=_entries(CPU="1", MEMORY="2Gi"), limits=_entries(MEMORY="4Gi")
    )
    found = _template(task, task_node("n0"), factor).container.resources

    assert found == Resources(
        requests=_entries(CPU="1", MEMORY=f"{2 * factor:g}Gi"),
        limits=_entries(MEMORY=f"{4 * factor:g}Gi"),
    )


def test_a_task_without_a_container_has_no_memory_to_scale() -> None:
    """It runs again as it is."""
    assert _template(task_template(), task_node("n0"), 2.0) == task_template()
