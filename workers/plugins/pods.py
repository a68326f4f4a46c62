"""Which container of a task is run: its own, or the primary one of its pod."""

from __future__ import annotations

from flyteidl.core import tasks_pb2
from google.protobuf.json_format import MessageToDict

TYPES = frozenset({"container", "python-task", "raw-container"})
"""Task types of containers; any other type with a container runs it, as in Flyte."""
_TARGETS = frozenset({"container", "k8s_pod"})
_EAGER_CLEANUP = "eager_failure_handler_task"
_PRIMARY = "primary_container_name"


def is_container(template: tasks_pb2.TaskTemplate) -> bool:
    """Return whether running a task means running a container's command."""
    return template.type in TYPES or template.WhichOneof("target") in _TARGETS


def takes_slot(template: tasks_pb2.TaskTemplate) -> bool:
    """Return whether a task counts towards those that may run at once.

    Eager tasks wait for tasks that need a slot, and the task that cleans up after an
    eager one terminates such tasks: both would wait for ever if none was free.
    """
    return not template.metadata.is_eager and template.type != _EAGER_CLEANUP


def container_of(template: tasks_pb2.TaskTemplate) -> tasks_pb2.Container | None:
    """Return the container to run; None if the task has none."""
    target = template.WhichOneof("target")
    if target == "container":
        return template.container
    if target != "k8s_pod":
        return None
    return _primary_container(template)


def _primary_container(
    template: tasks_pb2.TaskTemplate,
) -> tasks_pb2.Container | None:
    """Return the named container of the pod spec, or the first if none is named."""
    named = template.k8s_pod.primary_container_name or template.config[_PRIMARY]
    listed = MessageToDict(template.k8s_pod.pod_spec).get("containers", ())
    found = [c for c in listed if isinstance(c, dict)]
    primary = next((c for c in found if c.get("name") == named), None)
    if primary is None and found and not named:
        primary = found[0]
    if primary is None:
        return None
    container = tasks_pb2.Container(
        image=str(primary.get("image", "")),
        command=[str(word) for word in primary.get("command") or ()],
        args=[str(word) for word in primary.get("args") or ()],
        data_config=template.k8s_pod.data_config,
    )
    for variable in primary.get("env") or ():
        if "value" in variable:
            name, value = str(variable["name"]), str(variable["value"])
            container.env.add(key=name, value=value)
    return container
