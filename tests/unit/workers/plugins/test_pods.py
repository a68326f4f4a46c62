"""Which container of a task is run, and which tasks take a slot (ref §6.2)."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.core import tasks_pb2

from workers.plugins.pods import container_of, is_container, takes_slot


def _pod(*containers: Any, primary: str = "", **config: str) -> Any:
    """Return a task that is a pod of these containers."""
    task = tasks_pb2.TaskTemplate(type="sidecar", config=config)
    task.k8s_pod.pod_spec.update({"containers": list(containers)})
    task.k8s_pod.primary_container_name = primary
    return task


MAIN = {"name": "main", "image": "i:1", "command": ["run"], "args": ["a"]}
HELPER = {"name": "helper", "image": "i:2"}


def test_a_container_task_runs_its_container() -> None:
    """Whatever its type: an unknown one with a container runs it."""
    task = tasks_pb2.TaskTemplate(type="of-my-own")
    task.container.image = "i:1"

    assert container_of(task) == task.container
    assert is_container(task)


def test_a_task_without_a_container_runs_none() -> None:
    """Other plugins carry it out."""
    echo = tasks_pb2.TaskTemplate(type="echo")

    assert container_of(echo) is None
    assert not is_container(echo)
    assert is_container(tasks_pb2.TaskTemplate(type="python-task"))


@pytest.mark.parametrize(
    ("pod", "image"),
    [
        (_pod(HELPER, MAIN, primary="main"), "i:1"),
        (_pod(HELPER, MAIN, primary_container_name="main"), "i:1"),
        (_pod(HELPER, MAIN), "i:2"),
    ],
)
def test_a_pod_runs_its_primary_container(pod: Any, image: str) -> None:
    """The one that is named by the pod, else by the configuration, else the first."""
    container = container_of(pod)

    assert is_container(pod)
    assert container is not None
    assert container.image == image


@pytest.mark.parametrize("pod", [_pod(MAIN, primary="gone"), _pod(), _pod("none")])
def test_a_pod_without_its_primary_container_runs_nothing(pod: Any) -> None:
    """Another container isn't run in its place."""
    assert container_of(pod) is None


def test_the_container_of_a_pod_is_read_as_a_plain_one() -> None:
    """Command, arguments and values of its environment; references are left out."""
    env = [
        {"name": "A", "value": "1"},
        {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    pod = _pod({**MAIN, "env": env}, primary="main")
    pod.k8s_pod.data_config.enabled = True
    container = container_of(pod)

    assert container is not None
    assert list(container.command) == ["run"]
    assert list(container.args) == ["a"]
    assert [(v.key, v.value) for v in container.env] == [("A", "1")]
    assert container.data_config.enabled


def test_tasks_that_wait_for_others_take_no_slot() -> None:
    """An eager task, and what cleans up after one, would hold the slots they need."""
    eager = tasks_pb2.TaskTemplate(type="python-task")
    eager.metadata.is_eager = True

    assert takes_slot(tasks_pb2.TaskTemplate(type="python-task"))
    assert not takes_slot(eager)
    assert not takes_slot(tasks_pb2.TaskTemplate(type="eager_failure_handler_task"))
