"""What the events of the registry change in its read models; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from flyteidl.admin import project_pb2

from domain.literals.cache_keys import dataset_name
from projections import registry_rows as rows
from projections.columns import R, SqlValue
from projections.table import Table
from projections.views.changes import time_of
from schemas.ids import EntityRef, execution_stream
from schemas.messages import registry_events as r


class Put(NamedTuple):
    """A row that is added, or replaces the one of its key, by its table's statement."""

    statement: bytes
    values: Sequence[SqlValue]


class Run(NamedTuple):
    """A statement of `sql/registry.sql` by its name, and its values."""

    name: str
    values: Mapping[str, SqlValue]


Step = Put | Run
E = TypeVar("E", bound=r.RegistryMessage)
Steps = Callable[[E, datetime], Sequence[Step]]
"""What an event changes, at the time it happened."""


def _put(table: Table[R], row: R) -> Sequence[Step]:
    return [Put(table.insertion.one, table.insertion.values(row))]


def _version_at(entity: EntityRef, at: datetime) -> Mapping[str, SqlValue]:
    """Return the values of a statement on one version, at a time."""
    return {
        "project": entity.project,
        "domain": entity.domain,
        "name": entity.name,
        "version": entity.version,
        "at": at,
    }


def _project(
    m: r.ProjectRegistered | r.ProjectReplaced, at: datetime
) -> Sequence[Step]:
    project = project_pb2.Project.FromString(m.project)
    row = rows.ProjectRow(
        identifier=m.project_id,
        name=project.name,
        description=project.description,
        state=project.state,
        project=m.project,
        created_at=at,
        updated_at=at,
    )
    return _put(rows.PROJECTS, row)


def _task(m: r.TaskRegistered, at: datetime) -> Sequence[Step]:
    row = rows.TaskVersionRow(
        project=m.entity.project,
        domain=m.entity.domain,
        name=m.entity.name,
        version=m.entity.version,
        type=m.task_type,
        short_description=m.short_description,
        digest=m.digest,
        closure=m.closure,
        description=m.description,
        created_at=at,
        updated_at=at,
    )
    return _put(rows.TASK_VERSIONS, row)


def _workflow(m: r.WorkflowRegistered, at: datetime) -> Sequence[Step]:
    row = rows.WorkflowVersionRow(
        project=m.entity.project,
        domain=m.entity.domain,
        name=m.entity.name,
        version=m.entity.version,
        short_description=m.short_description,
        digest=m.digest,
        interface=m.interface,
        closure=m.closure,
        node_count=m.node_count,
        description=m.description,
        created_at=at,
        updated_at=at,
    )
    return _put(rows.WORKFLOW_VERSIONS, row)


def _launch_plan(m: r.LaunchPlanRegistered, at: datetime) -> Sequence[Step]:
    row = rows.LaunchPlanVersionRow(
        project=m.entity.project,
        domain=m.entity.domain,
        name=m.entity.name,
        version=m.entity.version,
        workflow_project=m.workflow.project,
        workflow_domain=m.workflow.domain,
        workflow_name=m.workflow.name,
        workflow_version=m.workflow.version,
        schedule_type=m.schedule_type,
        digest=m.digest,
        spec=m.spec,
        closure=m.closure,
        created_at=at,
        updated_at=at,
    )
    return _put(rows.LAUNCH_PLAN_VERSIONS, row)


def _activated(m: r.LaunchPlanActivated, at: datetime) -> Sequence[Step]:
    # Two statements: the unique index on active versions is checked row by row.
    values = _version_at(m.entity, at)
    return [Run("demote_launch_plans", values), Run("promote_launch_plan", values)]


def _deactivated(m: r.LaunchPlanDeactivated, at: datetime) -> Sequence[Step]:
    return [Run("deactivate_launch_plan", _version_at(m.entity, at))]


def _described(m: r.NamedEntityDescribed, _at: datetime) -> Sequence[Step]:
    row = rows.NamedEntityRow(
        resource_type=m.kind,
        project=m.project,
        domain=m.domain,
        name=m.name,
        description=m.description,
        state=m.state,
    )
    return _put(rows.NAMED_ENTITIES, row)


def _attributes_set(m: r.AttributesSet, _at: datetime) -> Sequence[Step]:
    row = rows.AttributesRow(
        resource=m.resource,
        project=m.project,
        domain=m.domain,
        workflow=m.workflow,
        launch_plan=m.launch_plan,
        attributes=m.attributes,
    )
    return _put(rows.ATTRIBUTES, row)


def _attributes_deleted(m: r.AttributesDeleted, _at: datetime) -> Sequence[Step]:
    values = {
        "resource": m.resource,
        "project": m.project,
        "domain": m.domain,
        "workflow": m.workflow,
        "launch_plan": m.launch_plan,
    }
    return [Run("delete_attributes", values)]


def _evicted(m: r.CacheEvicted, at: datetime) -> Sequence[Step]:
    row = rows.EvictionRow(
        project=m.project, domain=m.domain, name=dataset_name(m.task), evicted_at=at
    )
    return _put(rows.EVICTIONS, row)


def _state_set(m: r.ExecutionStateSet, at: datetime) -> Sequence[Step]:
    row = rows.ExecutionStateRow(
        stream=execution_stream(m.execution),
        state=m.state,
        principal=m.principal,
        updated_at=at,
    )
    return _put(rows.EXECUTION_STATES, row)


def _on(event: type[E], steps: Steps[E]) -> tuple[type, Steps[Any]]:
    return event, steps


STEPS = dict(
    [
        _on(r.ProjectRegistered, _project),
        _on(r.ProjectReplaced, _project),
        _on(r.TaskRegistered, _task),
        _on(r.WorkflowRegistered, _workflow),
        _on(r.LaunchPlanRegistered, _launch_plan),
        _on(r.LaunchPlanActivated, _activated),
        _on(r.LaunchPlanDeactivated, _deactivated),
        _on(r.NamedEntityDescribed, _described),
        _on(r.AttributesSet, _attributes_set),
        _on(r.AttributesDeleted, _attributes_deleted),
        _on(r.CacheEvicted, _evicted),
        _on(r.ExecutionStateSet, _state_set),
    ]
)


def steps_of(event: r.RegistryMessage) -> Sequence[Step]:
    """Return what an event changes, in this order."""
    return STEPS[type(event)](event, time_of(event.occurred_at_us))
