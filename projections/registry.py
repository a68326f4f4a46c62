"""The registry's read models: written with its facts, queried by door and hands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from flyteidl.admin import project_pb2
from psycopg import Cursor
from psycopg.sql import SQL, Identifier

from infra.database import Pool
from projections import entities
from projections.changes import pack
from projections.filters import Entity
from projections.queries import Page, select
from projections.rows import unpack
from schemas import registry_events as r
from schemas.ids import EntityRef
from schemas.rejections import Rejected
from schemas.values import Blob

TABLES = {"TASK": "tasks", "WORKFLOW": "workflows", "LAUNCH_PLAN": "launch_plans"}
ENTITIES: dict[str, Entity] = {
    "TASK": entities.TASKS,
    "WORKFLOW": entities.WORKFLOWS,
    "LAUNCH_PLAN": entities.LAUNCH_PLANS,
}


def writer(events: Sequence[Any]) -> Callable[[Cursor[Any]], None]:
    """Return what writes these facts' rows, for the transaction that appends them."""

    def write(cursor: Cursor[Any]) -> None:
        for event in events:
            statement, values = _ROWS[type(event)](event)
            cursor.execute(statement, values)

    return write


def _at(event: r.RegistryEvent) -> datetime:
    return datetime.fromtimestamp(event.occurred_at_us / 1_000_000, UTC)


def _project(event: Any) -> tuple[Any, Any]:
    project = project_pb2.Project.FromString(event.project)
    at = _at(event)
    return (
        "INSERT INTO projects VALUES (%s, %s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (identifier) DO UPDATE SET name = excluded.name, "
        "description = excluded.description, state = excluded.state, "
        "project = excluded.project, updated_at = excluded.updated_at",
        (
            event.project_id, project.name, project.description, project.state,
            event.project, at, at,
        ),
    )  # fmt: skip


def _key(entity: EntityRef) -> tuple[str, str, str, str]:
    return entity.project, entity.domain, entity.name, entity.version


def _task(event: r.TaskRegistered) -> tuple[Any, Any]:
    at = _at(event)
    return (
        "INSERT INTO tasks VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *_key(event.entity), event.task_type, event.short_description,
            event.digest, event.closure, at, at,
        ),
    )  # fmt: skip


def _workflow(event: r.WorkflowRegistered) -> tuple[Any, Any]:
    at = _at(event)
    return (
        "INSERT INTO workflows VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *_key(event.entity), event.short_description, event.digest,
            event.interface, pack(event.closure), event.node_count, at, at,
        ),
    )  # fmt: skip


def _launch_plan(event: r.LaunchPlanRegistered) -> tuple[Any, Any]:
    at = _at(event)
    return (
        "INSERT INTO launch_plans (project, domain, name, version, workflow_name, "
        "workflow_version, schedule_type, digest, spec, closure, created_at, "
        "updated_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *_key(event.entity), event.workflow.name, event.workflow.version,
            event.schedule_type, event.digest, event.spec, event.closure, at, at,
        ),
    )  # fmt: skip


def _activated(event: r.LaunchPlanActivated) -> tuple[Any, Any]:
    project, domain, name, version = _key(event.entity)
    # Two statements in one: the unique index on active plans is checked row by row.
    return (
        "WITH demoted AS (UPDATE launch_plans SET state = 0, updated_at = %s "
        "WHERE project = %s AND domain = %s AND name = %s AND state = 1 "
        "AND version <> %s RETURNING 1), n AS (SELECT count(*) AS n FROM demoted) "
        "UPDATE launch_plans SET state = 1, updated_at = %s FROM n "
        "WHERE project = %s AND domain = %s AND name = %s AND version = %s "
        "AND n.n >= 0",
        (
            _at(event), project, domain, name, version,
            _at(event), project, domain, name, version,
        ),
    )  # fmt: skip


def _deactivated(event: r.LaunchPlanDeactivated) -> tuple[Any, Any]:
    return (
        "UPDATE launch_plans SET state = 0, updated_at = %s WHERE project = %s "
        "AND domain = %s AND name = %s AND version = %s",
        (_at(event), *_key(event.entity)),
    )


def _described(event: r.NamedEntityDescribed) -> tuple[Any, Any]:
    return (
        "INSERT INTO named_entities VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (resource_type, project, domain, name) DO UPDATE "
        "SET description = excluded.description, state = excluded.state",
        (
            event.kind, event.project, event.domain, event.name,
            event.description, event.state,
        ),
    )  # fmt: skip


def _attributes_set(event: r.AttributesSet) -> tuple[Any, Any]:
    return (
        "INSERT INTO attributes VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (resource, project, domain, workflow, launch_plan) "
        "DO UPDATE SET attributes = excluded.attributes",
        (
            event.resource, event.project, event.domain, event.workflow,
            event.launch_plan, event.attributes,
        ),
    )  # fmt: skip


def _attributes_deleted(event: r.AttributesDeleted) -> tuple[Any, Any]:
    return (
        "DELETE FROM attributes WHERE resource = %s AND project = %s "
        "AND domain = %s AND workflow = %s AND launch_plan = %s",
        (
            event.resource, event.project, event.domain, event.workflow,
            event.launch_plan,
        ),
    )  # fmt: skip


_ROWS: dict[type, Callable[[Any], tuple[Any, Any]]] = {
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
}


async def get_entity(pool: Pool, ref: EntityRef) -> dict[str, Any] | None:
    """Return the row of a task, workflow or launch plan."""
    statement = SQL(
        "SELECT * FROM {} WHERE project = %s AND domain = %s AND name = %s "
        "AND version = %s"
    ).format(Identifier(TABLES[ref.kind]))
    async with pool.connection() as conn:
        cursor = await conn.execute(statement, _key(ref))
        return await cursor.fetchone()


async def get_active_launch_plan(
    pool: Pool, project: str, domain: str, name: str
) -> dict[str, Any] | None:
    """Return the row of a name's active launch plan."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT * FROM launch_plans WHERE project = %s AND domain = %s "
            "AND name = %s AND state = 1",
            (project, domain, name),
        )
        return await cursor.fetchone()


async def list_entities(
    pool: Pool, kind: str, where: dict[str, Any], page: Page
) -> Sequence[dict[str, Any]] | Rejected:
    """Return versions of entities, the newest first unless sorted otherwise."""
    entity = ENTITIES[kind]
    order = SQL("{0}.created_at DESC, {0}.version DESC").format(
        Identifier(entity.table)
    )
    return await select(pool, entity, where, page, order)


async def list_names(
    pool: Pool, kind: str, project: str, domain: str, page: Page
) -> list[dict[str, Any]]:
    """Return the distinct names of a kind, with description and state if they have."""
    statement = SQL(
        "SELECT DISTINCT t.project, t.domain, t.name, "
        "COALESCE(n.description, '') AS description, COALESCE(n.state, 0) AS state "
        "FROM {} t LEFT JOIN named_entities n ON n.resource_type = %s "
        "AND n.project = t.project AND n.domain = t.domain AND n.name = t.name "
        "WHERE t.project = %s AND t.domain = %s AND t.name NOT LIKE '.flytegen%%' "
        "ORDER BY t.name LIMIT %s OFFSET %s"
    ).format(Identifier(TABLES[kind]))
    async with pool.connection() as conn:
        cursor = await conn.execute(
            statement, (kind, project, domain, page.limit, page.offset)
        )
        return await cursor.fetchall()


async def get_project(pool: Pool, identifier: str) -> Any | None:
    """Return an admin.Project."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT project FROM projects WHERE identifier = %s", (identifier,)
        )
        row = await cursor.fetchone()
    return project_pb2.Project.FromString(bytes(row["project"])) if row else None  # type: ignore[call-overload]


async def list_projects(pool: Pool, page: Page) -> list[Any] | Rejected:
    """Return projects, by identifier unless sorted otherwise."""
    order = SQL("projects.identifier")
    found = await select(pool, entities.PROJECTS, {}, page, order)
    if isinstance(found, Rejected):
        return found
    return [project_pb2.Project.FromString(bytes(r["project"])) for r in found]


async def get_attributes(
    pool: Pool, resource: str, project: str, domain: str = "", workflow: str = ""
) -> bytes | None:
    """Return the matching attributes of exactly this level."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT attributes FROM attributes WHERE resource = %s AND project = %s "
            "AND domain = %s AND workflow = %s AND launch_plan = ''",
            (resource, project, domain, workflow),
        )
        row = await cursor.fetchone()
    return bytes(row["attributes"]) if row else None  # type: ignore[call-overload]


def closure_blob(row: dict[str, Any]) -> Blob:
    """Return where a workflow row's closure lies."""
    blob: Blob = unpack(row["closure"], Blob)
    return blob
