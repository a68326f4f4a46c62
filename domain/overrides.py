"""Overrides: the task template as one node of a workflow wants it (ref §6.3)."""

from __future__ import annotations

from typing import Any

from flyteidl.core import tasks_pb2

from domain.graph import Definition, GraphNode


def template_bytes(definition: Definition, node: GraphNode) -> bytes:
    """Return the node's serialized core.TaskTemplate, its overrides applied."""
    assert node.target is not None  # noqa: S101 - only task nodes come here
    template = definition.tasks[node.target]
    overrides = node.spec.task_node.overrides
    if overrides.ByteSize():
        template = _overridden(template, overrides)
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


def _replace(entries: Any, overriding: Any) -> None:
    """Replace the whole list: flytekit sends every resource that a node wants."""
    if overriding:
        del entries[:]
        entries.extend(overriding)
