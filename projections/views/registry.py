"""What the events of the registry change in its read models: statements and values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flyteidl.admin import project_pb2

from domain.literals.cache_keys import dataset_name
from projections.views.changes import pack, time_of
from schemas.ids import EntityRef, execution_stream
from schemas.messages import registry_events as r

Step = tuple[str, dict[str, Any]]
"""The name of a statement in `sql/registry.sql`, and its values."""


def _id(entity: EntityRef) -> dict[str, Any]:
    return {
        "project": entity.project,
        "domain": entity.domain,
        "name": entity.name,
        "version": entity.version,
    }


def _project(event: r.ProjectRegistered | r.ProjectReplaced) -> Sequence[Step]:
    project = project_pb2.Project.FromString(event.project)
    values = {
        "identifier": event.project_id,
        "name": project.name,
        "description": project.description,
        "state": project.state,
        "message": event.project,
    }
    return [("put_project", values)]


def _task(event: r.TaskRegistered) -> Sequence[Step]:
    values = {
        **_id(event.entity),
        "type": event.task_type,
        "short_description": event.short_description,
        "digest": event.digest,
        "closure": event.closure,
        "description": event.description,
    }
    return [("add_task", values)]


def _workflow(event: r.WorkflowRegistered) -> Sequence[Step]:
    values = {
        **_id(event.entity),
        "short_description": event.short_description,
        "digest": event.digest,
        "interface": event.interface,
        "closure": pack(event.closure),
        "node_count": event.node_count,
        "description": event.description,
    }
    return [("add_workflow", values)]


def _launch_plan(event: r.LaunchPlanRegistered) -> Sequence[Step]:
    values = {
        **_id(event.entity),
        **{f"workflow_{name}": part for name, part in _id(event.workflow).items()},
        "schedule_type": event.schedule_type,
        "digest": event.digest,
        "spec": event.spec,
        "closure": event.closure,
    }
    return [("add_launch_plan", values)]


def _activated(event: r.LaunchPlanActivated) -> Sequence[Step]:
    # Two statements: the unique index on active versions is checked row by row.
    values = _id(event.entity)
    return [("demote_launch_plans", values), ("promote_launch_plan", values)]


def _deactivated(event: r.LaunchPlanDeactivated) -> Sequence[Step]:
    return [("deactivate_launch_plan", _id(event.entity))]


def _described(event: r.NamedEntityDescribed) -> Sequence[Step]:
    values = {
        "kind": event.kind,
        "project": event.project,
        "domain": event.domain,
        "name": event.name,
        "description": event.description,
        "state": event.state,
    }
    return [("describe_name", values)]


def _place(event: r.AttributesSet | r.AttributesDeleted) -> dict[str, Any]:
    return {
        "resource": event.resource,
        "project": event.project,
        "domain": event.domain,
        "workflow": event.workflow,
        "launch_plan": event.launch_plan,
    }


def _attributes_set(event: r.AttributesSet) -> Sequence[Step]:
    return [("set_attributes", {**_place(event), "attributes": event.attributes})]


def _attributes_deleted(event: r.AttributesDeleted) -> Sequence[Step]:
    return [("delete_attributes", _place(event))]


def _evicted(event: r.CacheEvicted) -> Sequence[Step]:
    values = {
        "project": event.project,
        "domain": event.domain,
        "name": dataset_name(event.task),
    }
    return [("evict_outputs", values)]


def _state_set(event: r.ExecutionStateSet) -> Sequence[Step]:
    values = {
        "stream": execution_stream(event.execution),
        "state": event.state,
        "principal": event.principal,
    }
    return [("set_execution_state", values)]


STEPS: dict[type, Callable[[Any], Sequence[Step]]] = {
    r.ProjectRegistered: _project,
    r.ProjectReplaced: _project,
    r.TaskRegistered: _task,
    r.WorkflowRegistered: _workflow,
    r.LaunchPlanRegistered: _launch_plan,
    r.LaunchPlanActivated: _activated,
    r.LaunchPlanDeactivated: _deactivated,
    r.NamedEntityDescribed: _described,
    r.AttributesSet: _attributes_set,
    r.AttributesDeleted: _attributes_deleted,
    r.CacheEvicted: _evicted,
    r.ExecutionStateSet: _state_set,
}


def steps_of(event: r.RegistryEvent) -> Sequence[Step]:
    """Return the statements that an event runs, each with its values."""
    at = {"at": time_of(event.occurred_at_us)}
    return [(name, values | at) for name, values in STEPS[type(event)](event)]
