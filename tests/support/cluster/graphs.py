"""The workflows of a cluster's executions: their tasks take virtual time."""

from __future__ import annotations

from flyteidl.core import tasks_pb2

from domain.graph import Definition
from tests.support.graphs import (
    definition,
    gate_node,
    launch_plan_node,
    task_node,
    task_template,
)


def parent() -> Definition:
    """Return a workflow with tasks side by side, a child and a gate that sleeps."""
    nodes = [
        task_node("n0"),
        *[task_node(f"x{number}", "n0") for number in range(3)],
        launch_plan_node("n1", "n0"),
        gate_node("g0", "n0"),
        task_node("n2", "x0", after=["x1", "x2", "n1", "g0"]),
    ]
    return definition(nodes, "n2", tasks=[timed()])


def only_child() -> Definition:
    """Return a workflow that does nothing but start the child."""
    return definition([launch_plan_node("n1")], "n1", tasks=[timed()])


def child() -> Definition:
    """Return the workflow of the child: two tasks, one after the other."""
    nodes = [task_node("n0"), task_node("n1", "n0")]
    return definition(nodes, "n1", tasks=[timed()])


def chain(length: int) -> Definition:
    """Return a workflow of tasks, one after the other."""
    nodes = [task_node(f"n{i}", f"n{i - 1}" if i else "") for i in range(length)]
    return definition(nodes, f"n{length - 1}", tasks=[timed()])


def single(timeout_s: int = 0) -> Definition:
    """Return a workflow of one task, with a time limit."""
    return definition([task_node("n0")], "n0", tasks=[timed(timeout_s)])


def timed(timeout_s: int = 0) -> tasks_pb2.TaskTemplate:
    """Return the template of a task that takes time, at most so much if not 0."""
    template: tasks_pb2.TaskTemplate = task_template(kind="container")
    template.container.image = "any"
    if timeout_s:
        template.metadata.timeout.FromSeconds(timeout_s)
    return template
