"""Which container a task's process is made of: its own, or a pod's primary one."""

from __future__ import annotations

from typing import Any

from flyteidl.core import tasks_pb2
from google.protobuf.json_format import MessageToDict

TYPES = frozenset({"container", "python-task", "raw-container"})
"""Task types of containers. Others that have one run as it is, as Flyte runs them."""
_TARGETS = frozenset({"container", "k8s_pod"})
_CLEANS_UP = "eager_failure_handler_task"
_PRIMARY = "primary_container_name"


def is_container(template: Any) -> bool:
    """Tell whether a core.TaskTemplate is run by running a container's command."""
    return template.type in TYPES or template.WhichOneof("target") in _TARGETS


def takes_slot(template: Any) -> bool:
    """Tell whether a task counts among those that run at once.

    Eager tasks wait for tasks that need a slot; what cleans up after them ends such.
    """
    return not template.metadata.is_eager and template.type != _CLEANS_UP


def container_of(template: Any) -> Any | None:
    """Return the core.Container to run; None if there is none."""
    target = template.WhichOneof("target")
    if target == "container":
        return template.container
    if target != "k8s_pod":
        return None
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
