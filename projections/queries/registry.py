"""The registry's read models: written with its events, queried by door and hands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flyteidl.admin import project_pb2
from psycopg import Cursor
from psycopg.sql import SQL, Identifier, Literal

from infra.postgres.pool import Pool, queries
from projections.queries import filter_columns
from projections.queries.filters import Entity
from projections.queries.page import Page, fetch, fetch_one, narrow, select
from projections.rows import ExecutionStateRow, unpack
from projections.sql_files import SQL_FILES
from projections.views.registry import steps_of
from schemas.ids import EntityRef
from schemas.messages import registry_events as r
from schemas.messages.rejections import Rejected
from schemas.values import Blob

TABLES = {"TASK": "tasks", "WORKFLOW": "workflows", "LAUNCH_PLAN": "launch_plans"}
_NUMBERS = {kind: number for number, kind in enumerate(TABLES, 1)}
ENTITIES: dict[str, Entity] = {
    "TASK": filter_columns.TASKS,
    "WORKFLOW": filter_columns.WORKFLOWS,
    "LAUNCH_PLAN": filter_columns.LAUNCH_PLANS,
}
DESCRIBED: dict[str, Entity] = {
    "TASK": filter_columns.DESCRIBED_TASKS,
    "WORKFLOW": filter_columns.DESCRIBED_WORKFLOWS,
}
GENERATED = ".flytegen%"
"""Names that the server made itself: listings of names leave them out (ref §1.3)."""
_SQL = queries(SQL_FILES / "registry.sql")


def apply_registry(cursor: Cursor[Any], event: r.RegistryEvent) -> None:
    """Let an event change the read models, in the transaction that appends it."""
    for name, values in steps_of(event):
        cursor.execute(_SQL[name], values)


def writer(events: Sequence[Any]) -> Callable[[Cursor[Any]], None]:
    """Return what writes these events' rows, for the transaction that appends them."""

    def write(cursor: Cursor[Any]) -> None:
        for event in events:
            apply_registry(cursor, event)

    return write


def _key(entity: EntityRef) -> tuple[str, str, str, str]:
    return entity.project, entity.domain, entity.name, entity.version


async def get_entity(pool: Pool, ref: EntityRef) -> dict[str, Any] | None:
    """Return the row of a task, workflow or launch plan."""
    table = Identifier(TABLES[ref.kind])
    statement = SQL(_SQL["get_version"]).format(table=table)
    return await fetch_one(pool, statement, _key(ref))


async def execution_states(
    pool: Pool, streams: Sequence[str]
) -> dict[str, ExecutionStateRow]:
    """Return the states that clients have set, by the executions' streams."""
    rows = await fetch(pool, _SQL["execution_states"], (list(streams),))
    return {row["stream"]: ExecutionStateRow(**row) for row in rows}


async def get_active_launch_plan(
    pool: Pool, project: str, domain: str, name: str
) -> dict[str, Any] | None:
    """Return the row of a name's active launch plan."""
    return await fetch_one(
        pool, _SQL["get_active_launch_plan"], (project, domain, name)
    )


async def list_entities(
    pool: Pool, kind: str, where: dict[str, Any], page: Page
) -> Sequence[dict[str, Any]] | Rejected:
    """Return versions of entities, the newest first unless sorted otherwise.

    `where` gives columns their values: project and domain, name, state=1 for active
    launch plans.
    """
    return await _versions(pool, ENTITIES[kind], where, page)


async def list_described(
    pool: Pool, kind: str, where: dict[str, Any], page: Page
) -> Sequence[dict[str, Any]] | Rejected:
    """Return versions of tasks or workflows that have a description, in that order."""
    return await _versions(pool, DESCRIBED[kind], where, page)


async def _versions(
    pool: Pool, entity: Entity, where: dict[str, Any], page: Page
) -> Sequence[dict[str, Any]] | Rejected:
    order = SQL("{0}.created_at DESC, {0}.name, {0}.version DESC").format(
        Identifier(entity.table)
    )
    return await select(pool, entity, where, page, order)


async def list_names(
    pool: Pool, kind: str, project: str, domain: str, page: Page
) -> list[dict[str, Any]] | Rejected:
    """Return the distinct names of a kind, with description and state.

    Names that the server made itself are left out unless a filter is given.
    """
    hidden = "" if page.filters else GENERATED
    return await _names(pool, kind, (project, domain), page, hidden)


async def list_ids(
    pool: Pool, kind: str, project: str, domain: str, page: Page
) -> list[dict[str, Any]] | Rejected:
    """Return the distinct names of a kind, all of them."""
    return await _names(pool, kind, (project, domain), page, "")


async def _names(
    pool: Pool, kind: str, place: tuple[str, str], page: Page, hidden: str
) -> list[dict[str, Any]] | Rejected:
    found = narrow(filter_columns.NAMES, page, SQL("names.name"))
    if isinstance(found, Rejected):
        return found
    condition, values, order = found
    statement = SQL(_SQL["list_names"]).format(
        versions=Identifier(TABLES[kind]),
        resource=Literal(_NUMBERS[kind]),
        where=SQL(" AND ").join([SQL("names.name NOT LIKE %s"), condition]),
        order=order,
    )
    window = (page.limit, page.offset)
    return await fetch(pool, statement, (kind, *place, hidden, *values, *window))


async def get_name(
    pool: Pool, kind: str, project: str, domain: str, name: str
) -> dict[str, Any] | None:
    """Return a name with description and state, or None if nothing bears it."""
    statement = SQL(_SQL["list_names"]).format(
        versions=Identifier(TABLES[kind]),
        resource=Literal(_NUMBERS[kind]),
        where=SQL("names.name = %s"),
        order=SQL("names.name"),
    )
    return await fetch_one(pool, statement, (kind, project, domain, name, 1, 0))


async def get_project(pool: Pool, identifier: str) -> Any | None:
    """Return an admin.Project."""
    row = await fetch_one(pool, _SQL["get_project"], (identifier,))
    return project_pb2.Project.FromString(row["project"]) if row else None


async def list_projects(pool: Pool, page: Page) -> list[Any] | Rejected:
    """Return projects, by identifier unless sorted otherwise."""
    order = SQL("projects.identifier")
    found = await select(pool, filter_columns.PROJECTS, {}, page, order)
    if isinstance(found, Rejected):
        return found
    return [project_pb2.Project.FromString(row["project"]) for row in found]


async def get_attributes(
    pool: Pool,
    resource: str,
    project: str,
    domain: str = "",
    workflow: str = "",
    launch_plan: str = "",
) -> bytes | None:
    """Return the matching attributes of exactly this level."""
    key = (resource, project, domain, workflow, launch_plan)
    row = await fetch_one(pool, _SQL["get_attributes"], key)
    return bytes(row["attributes"]) if row else None


async def matching_attributes(
    pool: Pool,
    resource: str,
    project: str,
    domain: str = "",
    workflow: str = "",
    launch_plan: str = "",
) -> list[dict[str, Any]]:
    """Return the rows of attributes that apply here, the most particular first."""
    place = {
        "resource": resource,
        "project": project,
        "domain": domain,
        "workflow": workflow,
        "launch_plan": launch_plan,
    }
    async with pool.connection() as conn:
        cursor = await conn.execute(_SQL["matching_attributes"], place)
        return await cursor.fetchall()


async def list_attributes(pool: Pool, resource: str) -> list[dict[str, Any]]:
    """Return the rows of all attributes of a resource."""
    return await fetch(pool, _SQL["list_attributes"], (resource,))


def closure_blob(row: dict[str, Any]) -> Blob:
    """Return where a workflow row's closure lies."""
    blob: Blob = unpack(row["closure"], Blob)
    return blob
