"""Overrides: the task template as one node of a workflow wants it (ref §6.3)."""

from __future__ import annotations

from typing import Any

from flyteidl.core import tasks_pb2

from domain.annotations import scale_quantity
from domain.graph import Definition, GraphNode


def template_bytes(
    definition: Definition, node: GraphNode, memory_factor: float = 1.0
) -> bytes:
    """Return the node's serialized core.TaskTemplate, its overrides applied.

    Its memory is so many times what they say.
    """
    assert node.target is not None  # noqa: S101 - only task nodes come here
    template = definition.tasks[node.target]
    overrides = node.spec.task_node.overrides
    if overrides.ByteSize():
        template = _overridden(template, overrides)
    if memory_factor != 1.0:
        template = _grown(template, memory_factor)
    return bytes(template.SerializeToString(deterministic=True))


def _overridden(template: Any, overrides: Any) -> Any:
    changed = tasks_pb2.TaskTemplate()
    changed.CopyFrom(template)
    if changed.WhichOneof("target") == "container":
        if overrides.container_image:
            changed.container.image = overrides.container_image
        resources = changed.container.resources
        _replace(resources.requests, overrides.resources.requests)
        _replace(resources.limits, overrides.resources.limits)
    if overrides.HasField("extended_resources"):
        changed.extended_resources.CopyFrom(overrides.extended_resources)
    return changed


def _grown(template: Any, memory_factor: float) -> Any:
    changed = tasks_pb2.TaskTemplate()
    changed.CopyFrom(template)
    if changed.WhichOneof("target") == "container":
        resources = changed.container.resources
        for entry in (*resources.requests, *resources.limits):
            if entry.name == tasks_pb2.Resources.MEMORY:
                entry.value = scale_quantity(entry.value, memory_factor)
    return changed


def _replace(entries: Any, overriding: Any) -> None:
    """Replace the whole list: flytekit sends every resource that a node wants."""
    if overriding:
        del entries[:]
        entries.extend(overriding)
