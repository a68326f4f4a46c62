"""Read models of the registry: queries, and what each of its facts changes in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from infra.database import Pool
from projections.filters import Page
from projections.registry_rows import (
    AttributesRow,
    EntityId,
    LaunchPlanRow,
    NamedEntityRow,
    ProjectRow,
    TaskRow,
    WorkflowRow,
)
from schemas.ids import EntityRef
from schemas.registry_events import RegistryFact
from schemas.rejections import Rejected


def apply_registry(cursor: psycopg.Cursor[Any], event: RegistryFact) -> None:
    """Let a fact change the read models, in the transaction of the fact itself."""
    raise NotImplementedError


async def get_project(pool: Pool, identifier: str) -> ProjectRow | None:
    """Return a project, whatever its state."""
    raise NotImplementedError


async def list_projects(pool: Pool, page: Page) -> Sequence[ProjectRow] | Rejected:
    """Return a page of projects, by identifier unless sorted; limit 0 is no limit."""
    raise NotImplementedError


async def get_task(pool: Pool, entity: EntityRef) -> TaskRow | None:
    """Return a task version."""
    raise NotImplementedError


async def get_workflow(pool: Pool, entity: EntityRef) -> WorkflowRow | None:
    """Return a workflow version."""
    raise NotImplementedError


async def get_launch_plan(pool: Pool, entity: EntityRef) -> LaunchPlanRow | None:
    """Return a launch plan version."""
    raise NotImplementedError


async def active_launch_plan(
    pool: Pool, project: str, domain: str, name: str
) -> LaunchPlanRow | None:
    """Return the active version of a launch plan."""
    raise NotImplementedError


async def list_tasks(
    pool: Pool, project: str, domain: str, name: str, page: Page
) -> Sequence[TaskRow] | Rejected:
    """Return a page of task versions; name '' is every name."""
    raise NotImplementedError


async def list_workflows(
    pool: Pool, project: str, domain: str, name: str, page: Page
) -> Sequence[WorkflowRow] | Rejected:
    """Return a page of workflow versions; name '' is every name."""
    raise NotImplementedError


async def list_launch_plans(
    pool: Pool, project: str, domain: str, name: str, page: Page
) -> Sequence[LaunchPlanRow] | Rejected:
    """Return a page of launch plan versions; name '' is every name."""
    raise NotImplementedError


async def list_active_launch_plans(
    pool: Pool, project: str, domain: str, page: Page
) -> Sequence[LaunchPlanRow] | Rejected:
    """Return a page of active launch plans."""
    raise NotImplementedError


async def list_entity_ids(
    pool: Pool, kind: str, project: str, domain: str, page: Page
) -> Sequence[EntityId] | Rejected:
    """Return a page of the names that a kind (TASK, …) has in a domain."""
    raise NotImplementedError


async def get_named_entity(
    pool: Pool, kind: str, project: str, domain: str, name: str
) -> NamedEntityRow | None:
    """Return a name with its description, or None if nothing bears it."""
    raise NotImplementedError


async def list_named_entities(
    pool: Pool, kind: str, project: str, domain: str, page: Page
) -> Sequence[NamedEntityRow] | Rejected:
    """Return a page of names; without filters those of .flytegen are left out."""
    raise NotImplementedError


async def get_attributes(  # noqa: PLR0913 - the key has five parts
    pool: Pool,
    resource: str,
    project: str,
    domain: str = "",
    workflow: str = "",
    launch_plan: str = "",
) -> AttributesRow | None:
    """Return the attributes set at exactly this place."""
    raise NotImplementedError


async def matching_attributes(  # noqa: PLR0913 - the key has five parts
    pool: Pool,
    resource: str,
    project: str,
    domain: str = "",
    workflow: str = "",
    launch_plan: str = "",
) -> Sequence[AttributesRow]:
    """Return the attributes that apply here, the most particular first (ref §14)."""
    raise NotImplementedError


async def list_attributes(pool: Pool, resource: str) -> Sequence[AttributesRow]:
    """Return all attributes of a resource."""
    raise NotImplementedError
