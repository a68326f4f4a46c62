"""Overrides: a task template with what one node of a workflow changes (ref §6.3)."""

from __future__ import annotations

from flyteidl.core import tasks_pb2, workflow_pb2

from domain import quantities
from domain.graph import Definition, GraphNode


def template_bytes(
    definition: Definition, node: GraphNode, memory_factor: float = 1.0
) -> bytes:
    """Return the serialized core.TaskTemplate of a node, its overrides applied.

    The memory it asks for is multiplied by `memory_factor`.
    """
    assert node.target is not None  # noqa: S101 - only task nodes come here
    template = definition.tasks[node.target]
    overrides = node.spec.task_node.overrides
    if overrides.ByteSize():
        template = _overridden(template, overrides)
    if memory_factor != 1.0:
        template = _with_memory_scaled(template, memory_factor)
    return template.SerializeToString(deterministic=True)


def _overridden(
    template: tasks_pb2.TaskTemplate, overrides: workflow_pb2.TaskNodeOverrides
) -> tasks_pb2.TaskTemplate:
    changed = _copy(template)
    if changed.WhichOneof("target") == "container":
        if overrides.container_image:
            changed.container.image = overrides.container_image
        resources = changed.container.resources
        # Lists are replaced: flytekit sends every resource that a node asks for.
        if overrides.resources.requests:
            resources.ClearField("requests")
            resources.requests.extend(overrides.resources.requests)
        if overrides.resources.limits:
            resources.ClearField("limits")
            resources.limits.extend(overrides.resources.limits)
    if overrides.HasField("extended_resources"):
        changed.extended_resources.CopyFrom(overrides.extended_resources)
    return changed


def _with_memory_scaled(
    template: tasks_pb2.TaskTemplate, factor: float
) -> tasks_pb2.TaskTemplate:
    changed = _copy(template)
    if changed.WhichOneof("target") == "container":
        resources = changed.container.resources
        for entry in (*resources.requests, *resources.limits):
            if entry.name == tasks_pb2.Resources.MEMORY:
                entry.value = quantities.scale(entry.value, factor)
    return changed


def _copy(template: tasks_pb2.TaskTemplate) -> tasks_pb2.TaskTemplate:
    copied = tasks_pb2.TaskTemplate()
    copied.CopyFrom(template)
    return copied
